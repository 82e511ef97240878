/* A warning when a sensor's voltage differs from its reading before by more than `jump_max_v`. */
#include "gridwatch.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static double jump_max_v = 10.0;
/* By sensor: the last voltage, NaN where there is none. */
static double *last;
static size_t known;
/* Answers, until the next call. */
static gw_finding *findings;
static size_t room;

GRIDWATCH_EXPORT("describe") gw_descriptor *describe(void) {
  static gw_kind kinds[1];
  static gw_descriptor descriptor;
  kinds[0] = (gw_kind){gw_text("step"), gw_text("voltage jumped")};
  descriptor = (gw_descriptor){
      .name = gw_text("c-detector"),
      .version = gw_text("0.1.0"),
      .state_version = 1,
      .kinds = {kinds, 1},
      .parameters = gw_text("{\"type\":\"object\",\"properties\":{\"jump_max_v\":"
                            "{\"type\":\"number\",\"minimum\":0,\"default\":10}}}"),
  };
  return &descriptor;
}

GRIDWATCH_EXPORT("configure")
gw_result *configure(char *parameters, size_t len, gw_quantity *available, size_t available_len) {
  static gw_result result;
  static uint32_t chosen[1];
  char text[256];
  if (len >= sizeof text) {
    result = gw_refuse("parameters: too long");
  } else {
    memcpy(text, parameters, len);
    text[len] = 0;
    /* The host has checked them against the schema above. */
    const char *jump = strstr(text, "\"jump_max_v\":");
    if (jump) jump_max_v = strtod(jump + strlen("\"jump_max_v\":"), NULL);
    printf("steps of more than %g V\n", jump_max_v);
    size_t count = 0;
    for (size_t i = 0; i < available_len; i++)
      if (available[i].name.len == 7 && !memcmp(available[i].name.ptr, "voltage", 7)) chosen[count++] = i;
    result = (gw_result){0, {chosen, count}};
  }
  free(parameters);
  gw_free_quantities(available, available_len);
  return &result;
}

GRIDWATCH_EXPORT("set-sensors") gw_result *set_sensors(uint32_t first, gw_sensor *sensors, size_t len) {
  static gw_result result;
  if (first + len > known) {
    last = cabi_realloc(last, 0, 8, (first + len) * sizeof *last);
    while (known < first + len) last[known++] = NAN;
  }
  gw_free_sensors(sensors, len);
  return &result;
}

GRIDWATCH_EXPORT("remove-sensors") void remove_sensors(uint32_t *sensors, size_t len) {
  for (size_t i = 0; i < len; i++)
    if (sensors[i] < known) last[sensors[i]] = NAN;
  free(sensors);
}

GRIDWATCH_EXPORT("observe")
gw_result *observe(uint32_t *sensors, size_t rows, int64_t *timestamps, size_t rows2, double *volts, size_t values,
                   uint8_t *marks, size_t marks_len, uint32_t *malformed, size_t malformed_len) {
  static gw_result result;
  (void)rows2, (void)marks_len, (void)malformed_len;
  size_t found = 0;
  for (size_t row = 0; row < rows && row < values; row++) {
    double now = volts[row], before = last[sensors[row]];
    if (isnan(now)) continue;
    last[sensors[row]] = now;
    if (isnan(before) || fabs(now - before) <= jump_max_v) continue;
    if (found == room) findings = cabi_realloc(findings, 0, 8, (room = room ? 2 * room : 16) * sizeof *findings);
    findings[found++] = (gw_finding){
        .row = row,
        .timestamp = timestamps[row],
        .quantity = {1, 0},
        .phase = GW_SINGLE,
        .severity = GW_WARNING,
        .score = 1.0,
        .observed = {1, now},
        .expected = {1, before},
    };
  }
  result = (gw_result){0, {findings, found}};
  free(sensors), free(timestamps), free(volts), free(marks), free(malformed);
  return &result;
}

GRIDWATCH_EXPORT("advance") gw_result *advance(int64_t watermark) {
  static gw_result nothing;
  (void)watermark;
  return &nothing;
}

GRIDWATCH_EXPORT("trace")
gw_result_pair *trace(uint32_t *sensors, size_t rows, int64_t *timestamps, size_t rows2, double *volts, size_t values,
                      uint8_t *marks, size_t marks_len, uint32_t *malformed, size_t malformed_len) {
  static gw_result_pair nothing;
  observe(sensors, rows, timestamps, rows2, volts, values, marks, marks_len, malformed, malformed_len);
  return &nothing;
}

/* Eight bytes for a sensor that has been read. */
GRIDWATCH_EXPORT("save") gw_result_pair *save(uint32_t *sensors, size_t len) {
  static gw_result_pair result;
  static uint32_t *ends;
  static double *bytes;
  uint32_t end = 0;
  ends = cabi_realloc(ends, 0, 4, len * sizeof *ends);
  bytes = cabi_realloc(bytes, 0, 8, len * sizeof *bytes);
  for (size_t i = 0; i < len; i++) {
    if (!isnan(last[sensors[i]])) bytes[end++] = last[sensors[i]];
    ends[i] = end * sizeof *bytes;
  }
  result = (gw_result_pair){0, {ends, len}, {bytes, end * sizeof *bytes}};
  free(sensors);
  return &result;
}

GRIDWATCH_EXPORT("save-shared") gw_result *save_shared(void) {
  static gw_result nothing;
  return &nothing;
}

GRIDWATCH_EXPORT("begin-restore")
gw_result *begin_restore(uint32_t state_version, gw_string *quantities, size_t quantities_len, char *parameters,
                         size_t parameters_len, uint8_t *shared, size_t shared_len) {
  static gw_result result;
  (void)parameters_len, (void)shared_len;
  result = state_version == 1 ? (gw_result){0} : gw_refuse("state: not of version 1, which is all that is known here");
  for (size_t i = 0; i < quantities_len; i++) free((void *)quantities[i].ptr);
  free(quantities), free(parameters), free(shared);
  return &result;
}

GRIDWATCH_EXPORT("restore")
gw_result *restore(uint32_t *sensors, size_t len, uint32_t *ends, size_t ends_len, uint8_t *bytes, size_t bytes_len) {
  static gw_result result;
  (void)bytes_len;
  uint32_t start = 0;
  result = (gw_result){0};
  for (size_t i = 0; i < len && i < ends_len; start = ends[i++]) {
    if (ends[i] - start == sizeof(double) && sensors[i] < known)
      memcpy(&last[sensors[i]], bytes + start, sizeof(double));
    else if (ends[i] != start)
      result = gw_refuse("state: a sensor's is not eight bytes long");
  }
  free(sensors), free(ends), free(bytes);
  return &result;
}
