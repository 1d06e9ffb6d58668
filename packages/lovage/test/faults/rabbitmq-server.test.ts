import { connect } from 'node:net'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { hasRabbit, sharedRabbit, startRabbit } from '../../../../test-support/rabbitmq.ts'

describe.skipIf(!hasRabbit)('RabbitMQ for tests', { timeout: 120_000 }, () => {
  it('is one server for all who share it, with virtual hosts of their own', async () => {
    const [one, other] = await Promise.all([sharedRabbit(), sharedRabbit()])
    expect(one.address).toEqual(other.address)
    const vhost = await one.addVhost()
    expect(await one.ctl(['list_vhosts', 'name'])).toContain(vhost)
    await one.deleteVhost(vhost)
    expect(await one.eval('rabbit_vhost:list_names()')).not.toContain(vhost)
  })

  it('comes back after a stop and after a kill, with its data', async () => {
    await using server = await startRabbit()
    const vhost = await server.addVhost()
    await server.stop()
    await expect(reach(server.address.port)).rejects.toThrow('ECONNREFUSED')
    await server.start()
    await server.kill()
    await server.start()
    await reach(server.address.port)
    expect(await server.ctl(['list_vhosts', 'name'])).toContain(vhost)
  })
})

async function reach(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  socket.destroy()
}
