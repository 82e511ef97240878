/* The example in C with a flaw in it: what is told of where it is. */
#include <math.h>

__attribute__((noinline)) static double flawed(double difference) {
  static volatile int zero;
  return difference + 100 / zero;
}

#undef fabs
#define fabs flawed
#include "../../examples/c-detector/detector.c"
