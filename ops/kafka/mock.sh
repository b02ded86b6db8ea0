# Hosts librdkafka's mock cluster (mock-cluster.c) for a script that sources this; it ends with the script.
#
#   mock_host FOLDER BROKERS PREFIX PARTITIONS   starts it with a deployment's topics, and points retort to it
#   mock COMMAND…                                a command of mock-cluster.c
#
# What it sets: mock_pid, RETORT_LOG_URL, RETORT_LOG_PREFIX, RETORT_LOG_MANAGE_TOPICS. The mock lets a group form only when most of the
# session's time is up, and answers an empty fetch when all of its is: `mock_properties` are for log.kafka.
mock_properties='{"session.timeout.ms":4000,"fetch.wait.max.ms":50}'
mock_sources=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

mock_host() {
  local folder=$1 brokers=$2 prefix=$3 partitions=$4 bootstrap topic
  "${CC:-cc}" -O2 -o "$folder/mock-cluster" "$mock_sources/mock-cluster.c" -lrdkafka || {
    echo "the mock cluster cannot be compiled; install a C compiler and librdkafka's headers (make deps)" >&2
    return 1
  }
  mkfifo "$folder/commands" "$folder/answers"
  "$folder/mock-cluster" "$brokers" <"$folder/commands" >"$folder/answers" &
  mock_pid=$!
  exec {mock_in}>"$folder/commands" {mock_out}<"$folder/answers"
  read -r bootstrap <&"$mock_out"
  export RETORT_LOG_URL="kafka://$bootstrap" RETORT_LOG_PREFIX=$prefix RETORT_LOG_MANAGE_TOPICS=false
  for topic in samples ledger deadletters checkpoints releases models artifacts adoptions feedback; do
    mock topic "$prefix$topic" 1
  done
  mock topic "${prefix}requests" "$partitions"
}

mock() {
  local answer
  # Where the mock has ended, the sentence below says so, instead of a signal.
  trap '' PIPE
  echo "$*" >&"$mock_in" 2>/dev/null || true
  trap - PIPE
  read -r answer <&"$mock_out" || answer='no answer: it has ended'
  [ "$answer" = ok ] || {
    echo "mock cluster: '$*': $answer" >&2
    return 1
  }
}
