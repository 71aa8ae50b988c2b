/* What all workers share besides the configuration: storage and bindings, users and nonces, names of hosts;
 * and the chain of steps that is made of them. */
#ifndef APP_SERVICES_H
#define APP_SERVICES_H

#include "app/snapshot.h"
#include "app/worker.h"
#include "dns/health.h"
#include "dns/hosts.h"

struct services;

/* Opens the store, loads bindings and users, starts the storage thread, and completes snapshot->proxy with
 * the secret and the chain. Returns a code of sysexits.h; what is wrong is in the log. */
int services_new(const struct config *config, struct snapshot *snapshot, struct services **ret_services);
/* Whom to post the results of waits to, by worker number, and who knows which connections
 * there are; before the first worker starts. */
void services_set_workers(struct services *services, struct worker **workers,
                          struct transport_registry *registry);
/* When no worker runs any more: the storage thread finishes what it was given, and ends. NULL is fine. */
void services_stop(struct services *services);
void services_free(struct services *services);

const struct dns_hosts *services_hosts(const struct services *services);
struct dns_health *services_health(const struct services *services);
/* proxy_ports.locate; ctx is the services. */
int services_locate(void *ctx, struct slice aor, unix_s_t now_s, struct arena *arena, size_t max,
                    const struct proxy_binding **ret_bindings, size_t *ret_count);
size_t services_count_bindings(const struct services *services);
size_t services_count_users(const struct services *services);
/* worker_opts.attach and detach. */
MUST_USE int services_attach(void *ctx, struct proxy *proxy);
void services_detach(void *ctx, unsigned worker);
/* worker_opts.release_result: the result of a wait has been used. */
void services_release_result(void *ctx, void *result);

#endif
