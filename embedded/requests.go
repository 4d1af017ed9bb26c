package embedded

import (
	"math"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The control functions of this file change requests that kfake would handle wrongly, before kfake gets them.

// readCommitted is the isolation level of a fetch that wants committed records only.
const readCommitted = 1

// answerWholePartitions removes the limit of bytes of a whole fetch; the limit of each partition stays. If the limit of
// the fetch is reached in the middle of a partition, kfake does not say which transactions of that partition were
// aborted, and a read_committed reader takes their records for committed.
func answerWholePartitions(cluster *kfake.Cluster) {
	cluster.ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if fetch, ok := request.(*kmsg.FetchRequest); ok && fetch.IsolationLevel == readCommitted {
			fetch.MaxBytes = math.MaxInt32
		}
		return nil, nil, false
	})
}

// keepLastRecord makes a deletion of all records of a partition keep the last one (EB6). After a start kfake takes the
// next offset from the last record of the log; without records it would begin again at 0, below the offsets that
// readers have committed.
func keepLastRecord(cluster *kfake.Cluster) {
	cluster.ControlKey(int16(kmsg.DeleteRecords), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		deletion, ok := request.(*kmsg.DeleteRecordsRequest)
		if !ok {
			return nil, nil, false
		}
		for _, topic := range deletion.Topics {
			for i := range topic.Partitions {
				partition := &topic.Partitions[i]
				info := cluster.PartitionInfo(topic.Topic, partition.Partition)
				if info == nil || info.HighWatermark <= info.LogStartOffset {
					continue
				}
				if partition.Offset == -1 || partition.Offset == info.HighWatermark {
					partition.Offset = info.HighWatermark - 1
				}
			}
		}
		return nil, nil, false
	})
}

// shortenRebalances limits the time that a rebalance waits for a member to half of the session timeout. In kfake the
// session timeout of a member keeps running while the member waits in JoinGroup, where it cannot send heartbeats. When
// the session ends, kfake removes the member and never answers its JoinGroup. So the wait for absent members must end
// before the sessions of the members that have joined.
func shortenRebalances(cluster *kfake.Cluster) {
	cluster.ControlKey(int16(kmsg.JoinGroup), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if join, ok := request.(*kmsg.JoinGroupRequest); ok {
			join.RebalanceTimeoutMillis = min(join.RebalanceTimeoutMillis, max(join.SessionTimeoutMillis/2, 1))
		}
		return nil, nil, false
	})
}
