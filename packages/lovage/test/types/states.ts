import { expectTypeOf } from 'expect-type'
import { isReadyState } from '../../src/core/states.ts'

declare const state: string

if (isReadyState(state)) expectTypeOf(state).toEqualTypeOf<'SUCCESS' | 'FAILURE' | 'REVOKED'>()
else expectTypeOf(state).toEqualTypeOf<string>()
