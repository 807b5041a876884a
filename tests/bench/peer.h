/* Debian's qemu-guest-agent, which runs in the same guest and is asked the same. */
#ifndef TESTS_BENCH_PEER_H
#define TESTS_BENCH_PEER_H

/* Starts it in the guest that is up, and returns when it has answered. */
void peer_start(const char *directory);
void peer_end(void);

void peer_ping(void);
/* Starts a program and asks until it has exited. */
void peer_exec(void);
/* Reads FLOOR_FILE, of bulk_bytes, in pieces of 1 MiB. */
void peer_read(void);

#endif
