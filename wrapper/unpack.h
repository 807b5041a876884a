/* The agent as the shim brings it (common/boot.h). */
#ifndef WRAPPER_UNPACK_H
#define WRAPPER_UNPACK_H

/*
 * Makes the program of the packed file. That stays: the real init would have to wait for its
 * removal, and whoever leaves the initramfs for another root removes it with all the rest. Where
 * there is no such file, or the program is there already, nothing is done. Returns 0 or an errno,
 * with no program left: EBADMSG, the file is damaged; EFBIG, it is larger than one may be.
 */
int unpack(const char *packed, const char *program);

#endif
