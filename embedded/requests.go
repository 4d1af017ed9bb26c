package embedded

import (
	"math"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The embedded broker is kfake. What follows changes requests before kfake gets
// them, where it would do something wrong with them as they are.

// readCommitted is the isolation level of a fetch that wants committed records only.
const readCommitted = 1

// answerWholePartitions lifts the limit of bytes of a whole fetch; the limit of
// each partition stays. kfake, when the former is reached in the middle of a
// partition, leaves out which transactions in that partition were aborted, and
// whoever reads read_committed takes the records of these for committed.
func answerWholePartitions(cluster *kfake.Cluster) {
	cluster.ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if fetch, ok := request.(*kmsg.FetchRequest); ok && fetch.IsolationLevel == readCommitted {
			fetch.MaxBytes = math.MaxInt32
		}
		return nil, nil, false
	})
}

// keepLastRecord moves a deletion of all records of a partition back by one.
// kfake takes its next offset from the last record in the log; without any it
// would begin again at 0 on its next start, below what the readers have
// committed.
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

// hurryRebalances has a rebalance wait for a member no longer than half of its
// session timeout, whatever it asks for. In kfake the session of a member goes
// on while it waits in JoinGroup, where it cannot send heartbeats; when it is
// over, the member is removed and its JoinGroup never answered. So the wait for
// those who do not come must end before the sessions of those who came.
func hurryRebalances(cluster *kfake.Cluster) {
	cluster.ControlKey(int16(kmsg.JoinGroup), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if join, ok := request.(*kmsg.JoinGroupRequest); ok {
			join.RebalanceTimeoutMillis = min(join.RebalanceTimeoutMillis, max(join.SessionTimeoutMillis/2, 1))
		}
		return nil, nil, false
	})
}
