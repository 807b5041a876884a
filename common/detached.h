/*
 * File systems that are mounted nowhere: an fd to their root, by fsopen(2) and fsmount(2), and
 * nothing in any mount table. Since Linux 5.2.
 */
#ifndef COMMON_DETACHED_H
#define COMMON_DETACHED_H

/*
 * A new instance of a file system that needs no source ("proc", "devtmpfs"): its root directory,
 * close-on-exec, usable with openat(2). -1 and errno where that fails.
 */
int detached_mount(const char *fstype);

#endif
