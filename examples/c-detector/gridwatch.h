/* gridwatch's contract (wit/detector.wit, version 0.1.0) for C, as the component model's canonical ABI lays it
 * out on wasm32. Nothing is generated and nothing links against gridwatch: the names of the exports say
 * which world the module is for.
 *
 * What a function is given it owns, and frees; what it answers with lies where it stays until the next call. */
#ifndef GRIDWATCH_H
#define GRIDWATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define GRIDWATCH_EXPORT(function) \
  __attribute__((export_name("gridwatch:detector/detector@0.1.0#" function)))

typedef struct { const char *ptr; size_t len; } gw_string;
typedef struct { uint8_t is; uint32_t value; } gw_option_u32;
typedef struct { uint8_t is; int64_t value; } gw_option_s64;
typedef struct { uint8_t is; double value; } gw_option_f64;
typedef struct { uint8_t is; gw_string value; } gw_option_string;
typedef struct { gw_string key, value; } gw_pair;
typedef struct { const void *ptr; size_t len; } gw_list;

typedef struct { gw_string name; gw_option_string unit; } gw_quantity;
typedef struct { gw_string id; gw_pair *attributes; size_t attributes_len; } gw_sensor;
typedef struct { gw_string name, description; } gw_kind;

typedef struct {
  gw_string name, version;
  uint32_t state_version;
  gw_list kinds; /* of gw_kind */
  gw_string parameters;
  gw_list metadata; /* of gw_pair */
} gw_descriptor;

enum { GW_READING, GW_SENSOR, GW_GROUP };
enum { GW_RAISED, GW_UPDATED, GW_CLEARED, GW_SINGLE };
enum { GW_INFO, GW_WARNING, GW_CRITICAL };

typedef struct {
  uint32_t row;
  struct { uint8_t is; union { uint32_t sensor; gw_string group; }; } subject;
  int64_t timestamp;
  gw_option_u32 quantity;
  uint32_t kind;
  uint8_t phase, severity;
  double score;
  gw_option_s64 since;
  gw_option_f64 observed, expected, lower, upper;
  gw_option_string explanation;
  gw_list details; /* of gw_pair */
} gw_finding;

/* result<list, string>: what is in the list depends on the function. */
typedef struct { uint8_t is_error; gw_list list; } gw_result;
/* result<states, string>, result<traces, string>: two lists. */
typedef struct { uint8_t is_error; gw_list first, second; } gw_result_pair;

_Static_assert(sizeof(gw_finding) == 152 && offsetof(gw_finding, score) == 40, "layout of a finding");
_Static_assert(sizeof(gw_quantity) == 20 && sizeof(gw_sensor) == 16, "layout of quantities and sensors");
_Static_assert(sizeof(gw_descriptor) == 44 && sizeof(gw_result) == 12, "layout of answers");

static inline gw_string gw_text(const char *text) {
  return (gw_string){text, __builtin_strlen(text)};
}

static inline gw_result gw_refuse(const char *why) {
  return (gw_result){1, {why, __builtin_strlen(why)}};
}

static inline void gw_free_quantities(gw_quantity *quantities, size_t len) {
  for (size_t i = 0; i < len; i++) {
    free((void *)quantities[i].name.ptr);
    if (quantities[i].unit.is) free((void *)quantities[i].unit.value.ptr);
  }
  free(quantities);
}

static inline void gw_free_sensors(gw_sensor *sensors, size_t len) {
  for (size_t i = 0; i < len; i++) {
    free((void *)sensors[i].id.ptr);
    for (size_t a = 0; a < sensors[i].attributes_len; a++) {
      free((void *)sensors[i].attributes[a].key.ptr);
      free((void *)sensors[i].attributes[a].value.ptr);
    }
    free(sensors[i].attributes);
  }
  free(sensors);
}

/* How the host makes room for what it hands over. */
__attribute__((export_name("cabi_realloc"))) void *cabi_realloc(void *old, size_t old_len, size_t align, size_t len) {
  (void)old_len, (void)align;
  void *room = realloc(old, len ? len : 1);
  if (!room) __builtin_trap();
  return room;
}

#endif
