/** A CommonJS program that requires the package: Node.js can from 20.19 on, TypeScript from 5.8 on. */
import fakeTcp = require('fake-tcp')
import tunnel = require('fake-tcp/tunnel')

const [a, b]: [fakeTcp.Device, fakeTcp.Device] = fakeTcp.createVirtualLink()
for (const device of [a, b]) device.close()
console.log(typeof fakeTcp.Stack.open, typeof tunnel.startClient, fakeTcp.ErrorCode.CLOSED)
