// A phone made of JsSIP, driven by the test through window.phone.
import JsSIP from "jssip";
import { audio, events, instance, packets, say } from "./common.js";

let agent, session;

function watch(made) {
  session = made;
  session.on("progress", () => say("progress"));
  session.on("confirmed", () => say("confirmed"));
  session.on("failed", (data) => say(`failed ${data.cause}`));
  session.on("ended", () => say("ended"));
}

window.phone = {
  events,
  start({ server, uri, password }) {
    agent = new JsSIP.UA({
      sockets: [new JsSIP.WebSocketInterface(server)],
      uri,
      password,
      instance_id: instance(),
      session_timers: false,
      connection_recovery_min_interval: 1,
    });
    agent.on("connected", () => say("connected"));
    agent.on("disconnected", () => say("disconnected"));
    agent.on("registered", () => say("registered"));
    agent.on("unregistered", () => say("unregistered"));
    agent.on("registrationFailed", (data) => say(`refused ${data.cause}`));
    agent.on("newRTCSession", ({ session: made, originator }) => {
      if (originator !== "remote") return;
      watch(made);
      say("incoming");
    });
    agent.start();
  },
  stop: () => agent.stop(),
  call: (uri) => watch(agent.call(uri, { mediaConstraints: audio, pcConfig: { iceServers: [] } })),
  answer: () => session.answer({ mediaConstraints: audio, pcConfig: { iceServers: [] } }),
  hangUp: () => session.terminate(),
  packets: () => packets(session.connection),
};
