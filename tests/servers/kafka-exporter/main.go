// Kafka's offsets and groups for Prometheus, under the names of the usual Kafka exporter, in whose place it stands
// where no container runs.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Prometheus gives a scrape 10 s by default.
const patience = 5 * time.Second

func main() {
	brokers := flag.String("brokers", "127.0.0.1:9092", "comma-separated")
	listen := flag.String("listen", "127.0.0.1:9308", "address of /metrics and /healthz")
	flag.Parse()
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(*brokers, ",")...),
		kgo.MetadataMinAge(100*time.Millisecond),
	)
	if err != nil {
		log.Fatal(err)
	}
	kafka := kadm.NewClient(client)
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	http.HandleFunc("/metrics", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		var page strings.Builder
		if err := collect(ctx, kafka, &page); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = io.WriteString(w, page.String())
	})
	server := http.Server{Addr: *listen, ReadHeaderTimeout: patience}
	if err := server.ListenAndServe(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func collect(ctx context.Context, kafka *kadm.Client, page io.Writer) error {
	metadata, err := kafka.Metadata(ctx)
	if err != nil {
		return err
	}
	start, err := kafka.ListStartOffsets(ctx)
	if err != nil {
		return err
	}
	end, err := kafka.ListEndOffsets(ctx)
	if err != nil {
		return err
	}
	lags, err := kafka.Lag(ctx)
	if err != nil {
		return err
	}
	head := func(name, help string) { fmt.Fprintf(page, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name) }

	head("kafka_brokers", "Number of brokers in the cluster")
	fmt.Fprintf(page, "kafka_brokers %d\n", len(metadata.Brokers))
	topics := metadata.Topics.Sorted()
	head("kafka_topic_partitions", "Number of partitions for this topic")
	for _, topic := range topics {
		fmt.Fprintf(page, "kafka_topic_partitions{topic=%q} %d\n", topic.Topic, len(topic.Partitions))
	}
	ofPartition := func(name, help string, value func(kadm.PartitionDetail) int) {
		head(name, help)
		for _, topic := range topics {
			for _, partition := range topic.Partitions.Sorted() {
				fmt.Fprintf(page, "%s{topic=%q,partition=\"%d\"} %d\n", name, topic.Topic, partition.Partition, value(partition))
			}
		}
	}
	ofPartition("kafka_topic_partition_replicas", "Number of replicas for this topic and partition",
		func(p kadm.PartitionDetail) int { return len(p.Replicas) })
	ofPartition("kafka_topic_partition_in_sync_replica", "Number of in-sync replicas for this topic and partition",
		func(p kadm.PartitionDetail) int { return len(p.ISR) })
	ofPartition("kafka_topic_partition_under_replicated_partition", "1 if this partition is under-replicated",
		func(p kadm.PartitionDetail) int {
			if len(p.ISR) < len(p.Replicas) {
				return 1
			}
			return 0
		})

	offsets := func(name, help string, listed kadm.ListedOffsets) {
		head(name, help)
		listed.Each(func(at kadm.ListedOffset) {
			if at.Err == nil {
				fmt.Fprintf(page, "%s{topic=%q,partition=\"%d\"} %d\n", name, at.Topic, at.Partition, at.Offset)
			}
		})
	}
	offsets("kafka_topic_partition_oldest_offset", "Oldest offset of a broker at topic and partition", start)
	offsets("kafka_topic_partition_current_offset", "Current offset of a broker at topic and partition", end)

	ofGroup := func(name, help string, value func(kadm.GroupMemberLag) int64) {
		head(name, help)
		for _, group := range lags.Sorted() {
			for _, lag := range group.Lag.Sorted() {
				if lag.Err == nil {
					fmt.Fprintf(page, "%s{consumergroup=%q,topic=%q,partition=\"%d\"} %d\n",
						name, group.Group, lag.Topic, lag.Partition, value(lag))
				}
			}
		}
	}
	ofGroup("kafka_consumergroup_current_offset", "Current offset of a consumer group at topic and partition",
		func(lag kadm.GroupMemberLag) int64 { return lag.Commit.At })
	ofGroup("kafka_consumergroup_lag", "Current approximate lag of a consumer group at topic and partition",
		func(lag kadm.GroupMemberLag) int64 { return lag.Lag })
	head("kafka_consumergroup_members", "Amount of members in a consumer group")
	for _, group := range lags.Sorted() {
		fmt.Fprintf(page, "kafka_consumergroup_members{consumergroup=%q} %d\n", group.Group, len(group.Members))
	}
	return nil
}
