/** The client library, loaded when a URL asks for it: an optional peer dependency. */
import type * as Amqplib from 'amqplib'
import { ConfigurationError } from '../../core/errors.ts'

/** @throws {ConfigurationError} it is not installed. */
export async function loadClient(): Promise<typeof Amqplib> {
  try {
    return await import('amqplib')
  } catch (cause) {
    throw new ConfigurationError('RabbitMQ needs the package amqplib, which is not installed: npm install amqplib', {
      cause,
    })
  }
}
