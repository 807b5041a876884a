/* The time stamp counter of this machine, which a guest's is, too. */
#ifndef LIB_TSC_H
#define LIB_TSC_H

/* Its frequency, measured in 20 ms; 0: this machine has none. */
unsigned int tsc_khz(void);

#endif
