/**
 * Addresses: `host:port`, an IPv6 host in brackets, as in `[::1]:22646`.
 *
 * Guarantees: what is not an address is a `TypeError` that shows the text and
 * the form expected. Hosts are not resolved and not compared here.
 *
 * @module
 */

/** The two parts of an address. */
export interface HostPort {
  /** The host, without brackets. */
  host: string;
  /** The port; 0 asks for a free one where that makes sense. */
  port: number;
}

/**
 * Takes an address apart.
 *
 * @throws {TypeError} If it is not `host:port`, or the port is not 0 to 65535.
 */
export function parseAddress(address: string): HostPort {
  const match = /^(?:\[([^\[\]\s]+)\]|([^\[\]:\s]+)):(\d{1,5})$/.exec(address);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    throw new TypeError(
      `Cannot use the address "${address}": it must be "host:port", as in "localhost:22646" or "[::1]:22646", with a port from 0 to 65535`,
    );
  }
  return { host: (match[1] ?? match[2])!, port };
}

/** Puts an address together. */
export function formatAddress(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
