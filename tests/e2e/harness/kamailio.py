"""Debian's Kamailio behind the interface of harness.proxy: a cross-check of these tests, not a thing under
test.

With SUT=kamailio the scenarios that do not depend on how Viaduct is configured run against it. A test that
fails against both is most likely wrong itself.
"""

from .env import patience
from .process import Process
from .proxy import Proxy

MODULES = "/usr/lib/x86_64-linux-gnu/kamailio/modules/"

HEAD = """#!KAMAILIO
debug=1
log_stderror=yes
fork=yes
children=1
tcp_children=2
auto_aliases=no
{listen}
mpath="{modules}"
loadmodule "kex.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "rr.so"
loadmodule "path.so"
loadmodule "siputils.so"
loadmodule "textops.so"
loadmodule "nathelper.so"
"""

CONFIG = HEAD + """alias="{domain}"
tcp_accept_no_cl=yes
udp_mtu=1300
udp_mtu_try_proto=TCP
loadmodule "corex.so"
loadmodule "tmx.so"
loadmodule "maxfwd.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "sanity.so"
loadmodule "auth.so"
modparam("usrloc","db_mode",0)
modparam("registrar","use_path",1)
modparam("registrar","path_mode",0)
modparam("registrar","gruu_enabled",0)
modparam("registrar","min_expires",{min_expires})
modparam("registrar","append_branches",1)
modparam("auth","qop","auth")
modparam("auth","nonce_count",1)
modparam("auth","nonce_expire",{nonce_s})
request_route {{
  force_rport();
  if (!mf_process_maxfwd_header("70")) {{ sl_send_reply("483","Too Many Hops"); exit; }}
  if (!sanity_check()) {{ exit; }}
  if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
  if (has_totag()) {{
    if (loose_route()) {{ t_relay(); exit; }}
    if (is_method("ACK")) {{ if (t_check_trans()) t_relay(); exit; }}
    sl_send_reply("404","Not here"); exit; }}
  if (t_precheck_trans()) {{ t_check_trans(); exit; }}
  t_check_trans();
  if (is_method("OPTIONS") && uri==myself && $rU==$null) {{ sl_send_reply("200","OK"); exit; }}
  remove_hf("Route");
  if (is_method("REGISTER")) {{
    if ({register_auth}) {{
      if (!pv_www_authenticate("$fd","secret","0")) {{ www_challenge("$fd","1"); exit; }}
      if ($tU != $au) {{ sl_send_reply("403","Not your address"); exit; }} }}
    if (!save("location")) sl_reply_error();
    exit; }}
  if ({call_auth} && !({trusted}) && is_method("INVITE|MESSAGE|SUBSCRIBE|REFER") && $fd=="{domain}") {{
    if (!pv_proxy_authenticate("$fd","secret","0")) {{ proxy_challenge("$fd","1"); exit; }}
    consume_credentials(); }}
  else if (!({trusted}) && !(uri==myself)) {{ sl_send_reply("403","No relay"); exit; }}
  if (is_method("INVITE|SUBSCRIBE|REFER")) record_route();
  if (uri==myself) {{
    if (!lookup("location")) {{ sl_send_reply("404","Not Found"); exit; }} }}
  t_relay();
}}
"""


# An edge proxy (RFC 3327): a Path that says where the phone's datagrams came from, and everything else to the home.
EDGE = HEAD + """modparam("path","use_received",1)
modparam("rr","enable_double_rr",1)
request_route {{
  force_rport();
  if (is_method("OPTIONS") && uri==myself && $rU==$null) {{ sl_send_reply("200","OK"); exit; }}
  if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
  if (loose_route() || $du != $null) {{
    if (!has_totag() && is_method("INVITE")) record_route();
    t_relay(); exit; }}
  if (is_method("ACK")) {{ if (t_check_trans()) t_relay(); exit; }}
  if (is_method("REGISTER")) add_path_received();
  if (is_method("INVITE")) record_route();
  $du = "sip:{home}";
  t_relay();
}}
"""


class Kamailio(Proxy):
    name = "kamailio"
    home = None  # HOST:PORT of the home proxy makes it an edge proxy

    def prepare(self):
        listen = "\n".join(
            f"listen={l.transport}:{'[' + l.host + ']' if ':' in l.host else l.host}:{l.port}"
            for l in self.options.listeners
        )
        trusted = " || ".join(f'$si=="{address}"' for address in self.options.trusted) or "0"
        text = (EDGE if self.home else CONFIG).format(
            home=self.home,
            domain=self.domain,
            listen=listen,
            modules=MODULES,
            min_expires=self.options.min_expires_s,
            nonce_s=self.options.nonce_s,
            register_auth=int(self.options.register_auth),
            call_auth=int(self.options.call_auth),
            trusted=trusted,
        )
        (self.folder / "kam.cfg").write_text(text)

    def spawn(self):
        argv = [
            "kamailio",
            "-DD",
            "-E",
            "-f",
            self.folder / "kam.cfg",
            "-m",
            "64",
            "-M",
            "8",
            "-Y",
            self.folder,
        ]
        return Process(self.name, [*argv, "-P", self.folder / "kam.pid"], self.folder)

    def add_user(self, user, password="secret"):
        """Any user with the password "secret" is known."""

    def stop(self):
        self.ended = True
        status = self.process.stop(patience(5))
        assert status in (0, None), self.process.tail()
