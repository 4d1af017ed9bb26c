import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.util.Properties;
import java.util.concurrent.atomic.LongAdder;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.processor.StateRestoreListener;

/** Restores a count's changelog with Kafka Streams and prints what that cost this process, from its start on. */
public final class RestoreBench {
    public static void main(String[] args) throws Exception {
        String brokers = args[0], topic = args[1], app = args[2];
        long records = Long.parseLong(args[3]);

        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(topic, Consumed.with(Serdes.Bytes(), Serdes.Bytes()))
            .groupByKey()
            .count(Materialized.as("counts"));

        Properties props = new Properties();
        props.put(StreamsConfig.APPLICATION_ID_CONFIG, app);
        props.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, brokers);
        props.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        props.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        props.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        props.put(StreamsConfig.STATE_DIR_CONFIG, Files.createTempDirectory("restore-bench").toString());
        props.put("auto.offset.reset", "earliest");

        OperatingSystemMXBean os = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        LongAdder restored = new LongAdder();
        try (KafkaStreams streams = new KafkaStreams(builder.build(), props)) {
            streams.setGlobalStateRestoreListener(new StateRestoreListener() {
                @Override public void onRestoreStart(TopicPartition partition, String store, long start, long end) { }
                @Override public void onBatchRestored(TopicPartition partition, String store, long end, long n) { restored.add(n); }
                @Override public void onRestoreEnd(TopicPartition partition, String store, long total) { }
            });
            long cpu = os.getProcessCpuTime(), wall = System.nanoTime();
            streams.start();
            while (restored.sum() < records || streams.state() != KafkaStreams.State.RUNNING) Thread.sleep(1);
            cpu = os.getProcessCpuTime() - cpu;
            wall = System.nanoTime() - wall;
            System.out.printf("records=%d cpu_ns=%d wall_ns=%d%n", restored.sum(), cpu, wall);
        }
    }
}
