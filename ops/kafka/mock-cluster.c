// Hosts librdkafka's mock cluster for other processes, and breaks it on demand.
//
//   mock-cluster BROKERS
//
// Prints the addresses of its brokers, on loopback, as the first line; then obeys one command a line of standard input and
// answers each with `ok` or with `error` and a reason. It ends with its input. Commands:
//
//   topic NAME PARTITIONS                  creates a topic
//   down BROKER | up BROKER                ends a broker's connections and refuses new ones; takes them again
//   rtt MILLISECONDS                       delays every answer of every broker
//   coordinator group|transaction KEY BROKER
//   leader TOPIC PARTITION BROKER
//   errors REQUEST ERROR…                  the next requests of this type are answered with these errors, by their names in
//                                          Kafka's protocol; _TRANSPORT breaks the connection
//   forget REQUEST                         takes back the errors that no request has met
//
// What the mock only pretends (transactions, fencing) and what it lacks (compaction, retention, administration; it keeps 5 MB
// of a partition) no command can add.
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The mock names a member of a group by the address of its record (rdkafka_mock_cgrp.c, "%p"). A member that was thrown out comes
// back under its name, and the next new one may by then have been given the same address: two members of one name, of which one
// is told that it leads a group of nobody, on which librdkafka's sticky assignor crashes, or a partition is given to neither. So
// small blocks are never given out twice; this program lives for minutes and its records are small.
void free(void *block) {
  extern void __libc_free(void *);
  if (block && malloc_usable_size(block) > 512) __libc_free(block);
}

static const struct {
  const char *name;
  int16_t key;
} requests[] = {
    {"Produce", 0},          {"Fetch", 1},           {"ListOffsets", 2},         {"Metadata", 3},
    {"OffsetCommit", 8},     {"OffsetFetch", 9},     {"FindCoordinator", 10},    {"JoinGroup", 11},
    {"Heartbeat", 12},       {"LeaveGroup", 13},     {"SyncGroup", 14},          {"ApiVersions", 18},
    {"InitProducerId", 22},  {"AddPartitionsToTxn", 24}, {"AddOffsetsToTxn", 25}, {"EndTxn", 26},
    {"TxnOffsetCommit", 28},
};

static rd_kafka_mock_cluster_t *cluster;
static int brokers;

static int request_key(const char *name) {
  for (size_t i = 0; name && i < sizeof requests / sizeof *requests; i++)
    if (!strcmp(requests[i].name, name)) return requests[i].key;
  return -1;
}

// 0 for a name that is none.
static rd_kafka_resp_err_t error_code(const char *name) {
  const struct rd_kafka_err_desc *all;
  size_t count;
  rd_kafka_get_err_descs(&all, &count);
  for (size_t i = 0; i < count; i++)
    if (all[i].name && !strcmp(all[i].name, name)) return all[i].code;
  return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static const char *push_errors(const char *request) {
  rd_kafka_resp_err_t codes[64];
  size_t count = 0;
  int key = request_key(request);
  if (key < 0) return "an unknown type of request";
  for (const char *name; (name = strtok(NULL, " ")) && count < 64; count++)
    if (!(codes[count] = error_code(name))) return "an unknown error";
  rd_kafka_mock_push_request_errors_array(cluster, (int16_t)key, count, codes);
  return NULL;
}

static const char *forget_errors(const char *request) {
  int key = request_key(request);
  if (key < 0) return "an unknown type of request";
  rd_kafka_mock_clear_request_errors(cluster, (int16_t)key);
  return NULL;
}

static const char *set_round_trip(const char *milliseconds) {
  if (!milliseconds) return "no time";
  for (int broker = 1; broker <= brokers; broker++) rd_kafka_mock_broker_set_rtt(cluster, broker, atoi(milliseconds));
  return NULL;
}

// NULL, or what is wrong with the command.
static const char *obey(char *line) {
  const char *verb = strtok(line, " \n");
  const char *one = strtok(NULL, " \n");
  if (!verb) return "an empty command";
  if (!strcmp(verb, "errors")) return push_errors(one);
  if (!strcmp(verb, "forget")) return forget_errors(one);
  if (!strcmp(verb, "rtt")) return set_round_trip(one);
  const char *two = strtok(NULL, " \n");
  const char *three = strtok(NULL, " \n");
  rd_kafka_resp_err_t code;
  if (!strcmp(verb, "topic") && two)
    code = rd_kafka_mock_topic_create(cluster, one, atoi(two), brokers);
  else if (!strcmp(verb, "down") && one)
    code = rd_kafka_mock_broker_set_down(cluster, atoi(one));
  else if (!strcmp(verb, "up") && one)
    code = rd_kafka_mock_broker_set_up(cluster, atoi(one));
  else if (!strcmp(verb, "coordinator") && three)
    code = rd_kafka_mock_coordinator_set(cluster, one, two, atoi(three));
  else if (!strcmp(verb, "leader") && three)
    code = rd_kafka_mock_partition_set_leader(cluster, one, atoi(two), atoi(three));
  else
    return "an unknown command, or too few words";
  return code ? rd_kafka_err2str(code) : NULL;
}

int main(int count, char **arguments) {
  char text[512], line[4096];
  brokers = count > 1 ? atoi(arguments[1]) : 1;
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  // It would complain that it has no brokers to connect to.
  rd_kafka_conf_set(conf, "log_level", "2", text, sizeof text);
  rd_kafka_t *handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
  if (!handle || !(cluster = rd_kafka_mock_cluster_new(handle, brokers))) {
    fprintf(stderr, "mock-cluster: no cluster of %d brokers: %s\n", brokers, handle ? "refused" : text);
    return 1;
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  puts(rd_kafka_mock_cluster_bootstraps(cluster));
  while (fgets(line, sizeof line, stdin)) {
    line[strcspn(line, "\n")] = 0;
    const char *problem = obey(line);
    if (problem)
      printf("error %s\n", problem);
    else
      puts("ok");
  }
  rd_kafka_mock_cluster_destroy(cluster);
  rd_kafka_destroy(handle);
  return 0;
}
