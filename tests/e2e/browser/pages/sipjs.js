// A phone made of SIP.js, driven by the test through window.phone.
import { Inviter, Registerer, RegistererState, SessionState, UserAgent } from "sip.js";
import { audio, events, instance, packets, say } from "./common.js";

let agent, registerer, session;
const media = { sessionDescriptionHandlerOptions: { constraints: audio } };

function watch(made) {
  session = made;
  session.stateChange.addListener((state) => {
    if (state === SessionState.Established) say("confirmed");
    if (state === SessionState.Terminated) say("ended");
  });
}

window.phone = {
  events,
  async start({ server, uri, user, password }) {
    agent = new UserAgent({
      uri: UserAgent.makeURI(uri),
      transportOptions: { server },
      authorizationUsername: user,
      authorizationPassword: password,
      instanceId: instance(),
      sipExtensionOutbound: "Supported",
      logLevel: "error",
      sessionDescriptionHandlerFactoryOptions: { peerConnectionConfiguration: { iceServers: [] } },
      delegate: {
        onConnect: () => say("connected"),
        onDisconnect: () => say("disconnected"),
        onInvite(invitation) {
          watch(invitation);
          say("incoming");
        },
      },
    });
    registerer = new Registerer(agent, { regId: 1 });
    registerer.stateChange.addListener((state) => {
      if (state === RegistererState.Registered) say("registered");
      if (state === RegistererState.Unregistered) say("unregistered");
    });
    await agent.start();
    await registerer.register();
  },
  stop: () => agent.stop(),
  call(uri) {
    watch(new Inviter(agent, UserAgent.makeURI(uri), media));
    return session.invite({ requestDelegate: { onProgress: () => say("progress"), onReject: (r) => say(`failed ${r.message.statusCode}`) } });
  },
  answer: () => session.accept(media),
  hangUp: () => (session.state === SessionState.Established ? session.bye() : session.cancel()),
  packets: () => packets(session.sessionDescriptionHandler.peerConnection),
};
