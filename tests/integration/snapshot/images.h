/* Disks of the guests that are saved. */
#ifndef TESTS_SNAPSHOT_IMAGES_H
#define TESTS_SNAPSHOT_IMAGES_H

#define IMAGE_SIZE (1u << 20)

/* A raw image that begins with the text, mostly a hole. */
void image_make_raw(const char *path, const char *text);

/* A qcow2 image of nothing, over the raw one that its own directory has by this name. */
void image_make_overlay(const char *path, const char *backing);

#endif
