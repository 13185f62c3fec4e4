import { demoUnderTest } from './demo.ts'
import { archiveSuite } from './suite.ts'

archiveSuite('The demo archive by C-MOVE', demoUnderTest, 'move')
