// A plain producer and consumer, to compare `retort bench log` with: what librdkafka does here without anything around it.
//
//   bench BOOTSTRAP TOPIC RECORDS BYTES
//
// Creates a topic of one partition, appends records of random bytes to it, reads them back, and prints records a second of either, in
// one line. Its settings are those that retort makes: acknowledged by all replicas, idempotent, lz4; committed records only.
#include <librdkafka/rdkafka.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 1000, DISTINCT = 8 * BATCH };

static long delivered, failed;

static void report(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
  (void)client, (void)opaque;
  message->err ? failed++ : delivered++;
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void fail(const char *what, const char *why) {
  fprintf(stderr, "bench: %s: %s\n", what, why);
  exit(1);
}

static rd_kafka_t *client(rd_kafka_type_t type, const char *(*settings)[2]) {
  char text[512];
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  for (; (*settings)[0]; settings++)
    if (rd_kafka_conf_set(conf, (*settings)[0], (*settings)[1], text, sizeof text)) fail((*settings)[0], text);
  if (type == RD_KAFKA_PRODUCER) rd_kafka_conf_set_dr_msg_cb(conf, report);
  rd_kafka_t *made = rd_kafka_new(type, conf, text, sizeof text);
  if (!made) fail("no client", text);
  return made;
}

static void create(const char *servers, const char *name) {
  const char *settings[][2] = {{"bootstrap.servers", servers}, {NULL, NULL}};
  char text[512];
  rd_kafka_t *admin = client(RD_KAFKA_PRODUCER, settings);
  rd_kafka_queue_t *replies = rd_kafka_queue_new(admin);
  rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, 1, -1, text, sizeof text);
  rd_kafka_CreateTopics(admin, &topic, 1, NULL, replies);
  rd_kafka_event_t *event = rd_kafka_queue_poll(replies, 30000);
  size_t count = 0;
  const rd_kafka_topic_result_t **results =
      event && !rd_kafka_event_error(event)
          ? rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count)
          : NULL;
  if (count != 1) fail("creating the topic", event ? rd_kafka_event_error_string(event) : "no answer");
  if (rd_kafka_topic_result_error(results[0])) fail(name, rd_kafka_topic_result_error_string(results[0]));
  rd_kafka_event_destroy(event);
  rd_kafka_NewTopic_destroy(topic);
  rd_kafka_queue_destroy(replies);
  rd_kafka_destroy(admin);
}

static double append(const char *servers, const char *name, long records, size_t bytes) {
  const char *settings[][2] = {{"bootstrap.servers", servers}, {"enable.idempotence", "true"}, {"linger.ms", "1"},
                               {"compression.codec", "lz4"},   {"socket.nagle.disable", "true"},
                               {"queue.buffering.max.kbytes", "131072"},
                               {NULL, NULL}};
  rd_kafka_t *producer = client(RD_KAFKA_PRODUCER, settings);
  rd_kafka_topic_t *topic = rd_kafka_topic_new(producer, name, NULL);
  uint64_t state = 88172645463325252u;
  uint8_t *values = malloc(DISTINCT * bytes + 8);
  for (size_t i = 0; i < DISTINCT * bytes; i += 8) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    memcpy(values + i, &state, 8);
  }
  // Connected, as the other side is by then.
  const struct rd_kafka_metadata *metadata;
  if (!rd_kafka_metadata(producer, 0, topic, &metadata, 10000)) rd_kafka_metadata_destroy(metadata);
  double began = now();
  for (long i = 0; i < records; i++) {
    // 8 batches under way at once.
    while (i - delivered - failed >= DISTINCT) rd_kafka_poll(producer, 10);
    while (rd_kafka_produce(topic, 0, RD_KAFKA_MSG_F_COPY, values + (size_t)(i % DISTINCT) * bytes, bytes, NULL, 0, NULL))
      rd_kafka_poll(producer, 10);
    if (i % 100 == 0) rd_kafka_poll(producer, 0);
  }
  while (delivered + failed < records) rd_kafka_poll(producer, 10);
  double seconds = now() - began;
  if (failed) fail("appending", "records were not delivered");
  rd_kafka_topic_destroy(topic);
  rd_kafka_destroy(producer);
  free(values);
  return (double)records / seconds;
}

static double read_back(const char *servers, const char *name, long records, size_t bytes) {
  const char *settings[][2] = {{"bootstrap.servers", servers},      {"group.id", "bench"},
                               {"enable.auto.commit", "false"},     {"isolation.level", "read_committed"},
                               {"queued.min.messages", "100000"},   {"queued.max.messages.kbytes", "65536"},
                               {"fetch.wait.max.ms", "500"},        {"socket.nagle.disable", "true"},
                               {"fetch.message.max.bytes", "4194304"},
                               {NULL, NULL}};
  rd_kafka_t *consumer = client(RD_KAFKA_CONSUMER, settings);
  rd_kafka_poll_set_consumer(consumer);
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(list, name, 0)->offset = 0;
  if (rd_kafka_assign(consumer, list)) fail("reading", name);
  double began = now();
  rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(consumer);
  rd_kafka_message_t *messages[BATCH];
  uint64_t sum = 0;
  for (long count = 0; count < records;) {
    ssize_t found = rd_kafka_consume_batch_queue(queue, 30000, messages, BATCH);
    if (found <= 0) fail("reading", "not all records came back");
    for (ssize_t i = 0; i < found; i++) {
      if (messages[i]->err) fail("reading", rd_kafka_message_errstr(messages[i]));
      if (messages[i]->len != bytes) fail("reading", "a record of another size");
      sum += ((uint8_t *)messages[i]->payload)[0];
      rd_kafka_message_destroy(messages[i]);
      count++;
    }
  }
  double seconds = now() - began;
  if (sum == 0) fail("reading", "nothing but zeros");
  rd_kafka_queue_destroy(queue);
  rd_kafka_topic_partition_list_destroy(list);
  rd_kafka_consumer_close(consumer);
  rd_kafka_destroy(consumer);
  return (double)records / seconds;
}

int main(int count, char **arguments) {
  if (count != 5) fail("usage", "bench BOOTSTRAP TOPIC RECORDS BYTES");
  long records = atol(arguments[3]);
  size_t bytes = (size_t)atol(arguments[4]);
  if (records < 1 || bytes < 8) fail("usage", "at least one record of 8 bytes");
  create(arguments[1], arguments[2]);
  double appended = append(arguments[1], arguments[2], records, bytes);
  double read = read_back(arguments[1], arguments[2], records, bytes);
  printf("{\"append_per_second\":%.0f,\"read_per_second\":%.0f}\n", appended, read);
  return 0;
}
