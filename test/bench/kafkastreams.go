package main

import (
	"context"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// The Kafka Streams side consists of two short Java programs and a list of their dependencies.
//
//go:embed kafkastreams
var kafkaStreams embed.FS

// measureKafkaStreams counts the topic.
func measureKafkaStreams(ctx context.Context, o options, topic string) (result, error) {
	return runKafkaStreams(ctx, o, "CountBench", topic)
}

// runKafkaStreams builds the Java programs, if they were not built before, and runs one.
func runKafkaStreams(ctx context.Context, o options, program, topic string) (result, error) {
	classpath, err := buildKafkaStreams(ctx)
	if err != nil {
		return result{}, fmt.Errorf("build the Kafka Streams side (it needs Java 17 and Maven): %w", err)
	}
	return runWorker(exec.CommandContext(ctx, "java", "-Xmx2g", "-cp", classpath, program,
		o.brokers, topic, topic+"-ks", fmt.Sprint(o.records)))
}

// buildKafkaStreams compiles into the user's cache directory and returns the class path.
func buildKafkaStreams(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "millrace", "bench-kafka-streams")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if err := os.RemoveAll(filepath.Join(dir, "kafkastreams")); err != nil {
		return "", err
	}
	if err := os.CopyFS(dir, kafkaStreams); err != nil {
		return "", err
	}
	lib, classes := filepath.Join(dir, "lib"), filepath.Join(dir, "classes")
	if _, err := os.Stat(filepath.Join(lib, ".complete")); err != nil {
		if err := command(ctx, "mvn", "-q", "-B", "-f", filepath.Join(dir, "kafkastreams", "pom.xml"),
			"dependency:copy-dependencies", "-DoutputDirectory="+lib); err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(lib, ".complete"), nil, 0o644); err != nil {
			return "", err
		}
	}
	err = command(ctx, "javac", "-cp", filepath.Join(lib, "*"), "-d", classes,
		filepath.Join(dir, "kafkastreams", "src", "CountBench.java"), filepath.Join(dir, "kafkastreams", "src", "RestoreBench.java"))
	return classes + string(os.PathListSeparator) + filepath.Join(lib, "*"), err
}

func command(ctx context.Context, name string, args ...string) error {
	output, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, output)
	}
	return nil
}
