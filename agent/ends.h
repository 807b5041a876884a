/*
 * Hears of peers that end while nothing is read of them.
 *
 * A connection that is congested waits until it can send, and is not read, so the end of its peer
 * is found by sending. But a vsock socket never becomes writable where the peer has gone while it
 * had no credit and something of the peer's has not been read: the kernel then keeps it established
 * (vsock_poll() in net/vmw_vsock/af_vsock.c, virtio_transport_recv_connected() in
 * virtio_transport_common.c). EPOLLRDHUP tells, for which libev has no watcher: these connections
 * are in an epoll set of their own, and the loop watches the set.
 */
#ifndef AGENT_ENDS_H
#define AGENT_ENDS_H

#include <stdbool.h>

struct connection;
struct loop;

/* False: no memory, or no fd. */
bool ends_start(struct loop *loop);
void ends_stop(struct loop *loop);

/* While it is watched, connection_retry is called when its peer has ended, wholly or its sending.
 */
void ends_watch(struct loop *loop, int fd, struct connection *connection);
/* Before fd is closed. */
void ends_unwatch(struct loop *loop, int fd);

#endif
