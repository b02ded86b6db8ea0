// librdkafka 2.0.2 or newer, as the system has it; the mock cluster is for tests.
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
