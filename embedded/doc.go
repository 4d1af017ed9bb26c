// Package embedded is a Kafka broker inside the program, for development, tests and small installations that can live
// with one process and no replication. A program that does not import it links nothing of it.
//
//	b, err := embedded.Start(ctx, embedded.Config{Dir: "data/broker"})
//	if err != nil {
//		return err
//	}
//	defer b.Close()
//	app, err := processors.New(top, processors.Config{Brokers: b.Addrs(), Dir: "data/state"})
//
// # Being a broker
//
// The broker is kfake, the fake broker of franz-go, with a data directory. kfake was made for tests: in a few places a
// crash would break the guarantees that exactly-once processing needs. This package closes these gaps from outside,
// through the protocol and the control functions that kfake offers:
//
//	the directory               what it is for
//	dir/lock                    one process at a time
//	dir/kafka/                  the data of kfake: logs, offsets, producer ids
//	dir/transaction             the commit under way, see journal
//	dir/checkpoint.json         whether the last run ended in order, and up to where the logs are settled
//
//	the start
//	1. lock the directory, take the port; clients that connect now wait, see gate
//	2. if the last run ended in order: go to 6
//	3. drop what kfake derived from its logs in earlier runs; complete the segment indexes
//	4. start kfake behind the closed gate and repair its logs: end every transaction that is open at the end of a
//	   partition, set the offsets of the transaction whose commit had begun, fence all transactional ids, see repair
//	5. if a log was changed: stop kfake, drop what it derived again, start it
//	6. clear "ended in order" in the checkpoint, open the gate
//
// # Invariants
//
//   - EB1: one process at a time uses a directory.
//   - EB2: a commit is in the journal, on the disk, before kfake sees it. So the repair finishes a commit that a crash
//     interrupted between two markers, and the transaction stays atomic.
//   - EB3: only the repair can reach the broker until the logs are complete: the gate is closed until then.
//   - EB4: the directory counts as crashed until Close has recorded that the run ended in order. Any step of the start
//     can be interrupted by the next crash, and repairing a repaired log changes nothing.
//   - EB5: no transaction is open below the settled offsets of a checkpoint, so a scan may begin at them.
//   - EB6: no records expire and nothing is compacted. Only DeleteRecords removes records, never the last one of a
//     partition, so that offsets continue where they were.
//
// # What it does not do
//
// There is no replication, no access control and no compaction, and it listens on the loopback interface only. After a
// crash some of the records that DeleteRecords removed may be back. An idempotent producer without transactions that
// outlives the broker may duplicate the records that it was sending at that moment.
package embedded
