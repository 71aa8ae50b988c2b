// What both pages share: a list of events for the test to wait for, an identity that outlives a reload, and counters of RTP.

export const events = [];
export const say = (event) => events.push(event);

/** RFC 5626 section 4.1: one instance for this browser, whatever happens to the page. */
export function instance() {
  if (!localStorage.instance) localStorage.instance = crypto.randomUUID();
  return localStorage.instance;
}

/** RTP packets of a connection, both ways. */
export async function packets(connection) {
  const count = { received: 0, sent: 0 };
  for (const report of (await connection.getStats()).values()) {
    if (report.type === "inbound-rtp") count.received += report.packetsReceived;
    if (report.type === "outbound-rtp") count.sent += report.packetsSent;
  }
  return count;
}

export const audio = { audio: true, video: false };
