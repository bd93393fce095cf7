/**
 * Every type of message that travels between nodes, as one registry: APPEND
 * ONLY. A number is never given to another meaning; what is no longer sent
 * stays listed.
 *
 * The transport itself knows the meaning of those below 16. The payloads of the
 * others belong to `gossip`.
 *
 * @module
 */

/** The message types, by name. */
export const MessageType = {
  // Connection.
  HELLO: 1,
  WELCOME: 2,
  REJECT: 3,
  GOODBYE: 4,
  IDENTITY: 5,
  KEEPALIVE: 6,
  CREDIT: 7, // reserved

  // Failure detection.
  PING: 16, // news -> news
  ACK: 17, // no longer sent: the reply to PING
  PING_REQ: 18, // node -> whether it answered
  NACK: 19, // no longer sent: the reply to PING_REQ

  // Cluster gossip (SI).
  CLUSTER_SYNC: 32, // hash -> standings
  CLUSTER_ACK: 33, // newer nodes, wanted ones -> wanted ones
  CLUSTER_ACK2: 34, // no longer sent: the reply to CLUSTER_ACK
  CLUSTER_NEWS: 35, // news, one-way

  // Registers.
  REGISTER_PREPARE: 48,
  REGISTER_ACCEPT: 49,
  REGISTER_LIST: 50, // -> names of registers
  REGISTER_SEAT: 51, // -> the seat on which the node would vote
  REPORT: 52, // config -> what is durable under it
  REPORTS: 53, // what was heard of reports -> newer ones, wanted ones

  // Joining.
  PLEDGE: 64,

  // Replication.
  RECORDS: 80, // one-way push of whole records
  PULL: 81, // vector -> records, or the offer of a session
  SESSION_CHUNK: 82, // next chunk of a session
  FEEDBACK: 83, // answers to rumours, one-way
  RUMOURS: 84, // whole records, and who needs them; a request where that dials
  AUDIT_ROOT: 86, // vector, sum of all -> whether they are the same
  AUDIT_BUCKETS: 87, // vector, sums of buckets -> which differ
  AUDIT_LIST: 88, // buckets -> keys, hashes of their entries
  AUDIT_ENTRIES: 89, // vector, entries of keys -> the other side's; both take the larger

  // Writes.
  COMMIT: 112, // forwarded commit -> records, or NotLeaseholder
  GRANT: 115, // reserved
  APPEND: 116, // reserved

  // Transactions: reserved.
  TXN_PREPARE: 128,
  TXN_PREPARED: 129,
  TXN_REFUSED: 130,
  TXN_RESOLVE: 131,

  // Reads at the leaseholder: reserved.
  CONFIRM: 144,
  READ: 145,
} as const;

/** A message type. */
export type MessageType = typeof MessageType[keyof typeof MessageType];

/**
 * Whether messages of a type go before all others, and replies to them too: by them
 * nodes find out who lives, which is no question of how much else there is to say.
 */
export function isUrgent(type: number): boolean {
  return type === MessageType.PING || type === MessageType.PING_REQ;
}

/** The name of a message type, for people; `type-N` if it is unknown. */
export function messageName(type: number): string {
  for (const [name, value] of Object.entries(MessageType)) {
    if (value === type) return name;
  }
  return `type-${type}`;
}
