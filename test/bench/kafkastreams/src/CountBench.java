import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.util.Properties;
import java.util.concurrent.atomic.LongAdder;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Materialized;

/** Counts a topic exactly once with Kafka Streams and prints what the second half of it cost this process. */
public final class CountBench {
    public static void main(String[] args) throws Exception {
        String brokers = args[0], topic = args[1], app = args[2];
        long records = Long.parseLong(args[3]);

        LongAdder processed = new LongAdder();
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(topic, Consumed.with(Serdes.Bytes(), Serdes.Bytes()))
            .peek((k, v) -> processed.increment())
            .groupByKey()
            .count(Materialized.as("counts"));

        Properties props = new Properties();
        props.put(StreamsConfig.APPLICATION_ID_CONFIG, app);
        props.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, brokers);
        props.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        props.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        props.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        props.put(StreamsConfig.STATE_DIR_CONFIG, Files.createTempDirectory("count-bench").toString());
        props.put("auto.offset.reset", "earliest");

        OperatingSystemMXBean os = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        try (KafkaStreams streams = new KafkaStreams(builder.build(), props)) {
            streams.start();
            while (processed.sum() < records / 2) Thread.sleep(1);
            long from = processed.sum(), cpu = os.getProcessCpuTime(), wall = System.nanoTime();
            while (processed.sum() < records) Thread.sleep(1);
            Thread.sleep(100); // the last commit interval
            cpu = os.getProcessCpuTime() - cpu;
            wall = System.nanoTime() - wall;
            System.out.printf("records=%d cpu_ns=%d wall_ns=%d%n", records - from, cpu, wall);
        }
    }
}
