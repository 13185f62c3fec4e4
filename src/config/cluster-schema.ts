import { z } from 'zod'
import { filePath, listenAddress, longKey, name, peerAddress, valkeyUrl } from './values.ts'

/** Both ways: each replica is a server of the others and a client of them. */
const replicaTls = z.strictObject({
  ca: filePath.describe('PEM file of the authority whose certificates are those of replicas, and of nobody else'),
  cert: filePath.describe('PEM file of the certificate of this replica'),
  key: filePath.describe('PEM file of the private key that belongs to cert'),
})

export const cluster = z
  .strictObject({
    url: valkeyUrl.meta({ description: 'The Valkey or Redis server that the replicas share', writeOnly: true }),
    ca: filePath
      .nullable()
      .default(null)
      .describe('PEM file of the authorities to trust at url; null for those of Node'),
    name: name.prefault('dimsegate').describe('Begins the keys there: replicas of one gateway have the same'),
    listen: listenAddress
      .prefault('0.0.0.0:11113')
      .describe('Address and port that other replicas reach this one at; port 0 takes a free one'),
    advertise: peerAddress
      .nullable()
      .default(null)
      .describe('Address, or address and port, that the others know this one by; null for the first of this machine'),
    secret: longKey
      .nullable()
      .default(null)
      .meta({ description: 'Who has it is a replica; encrypts what they tell each other', writeOnly: true }),
    tls: replicaTls.nullable().default(null).describe('Certificates of the replicas, in place of a secret'),
  })
  .nullable()
  .default(null)
  .describe('Replicas behind one address; null: this one is alone')
