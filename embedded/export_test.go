package embedded

// What the tests look at on the disk, as the broker leaves it there.
const (
	CheckpointFile = checkpointFile
	DataDirName    = dataDirName
	LockFile       = lockFile
	PartitionsPath = partitionsPath
	SegmentSuffix  = segmentSuffix
	IndexSuffix    = indexSuffix
	IndexEntry     = indexEntry
	BatchLength    = batchLength

	DefaultPartitions = defaultPartitions
)

// Checkpoint is what the file of that name holds.
type Checkpoint = checkpoint

// The functions that read and write these files.
var (
	ReadCheckpoint         = readCheckpoint
	PartitionFiles         = partitionFiles
	CompleteSegmentIndexes = completeSegmentIndexes
)

// Write is write.
func (c checkpoint) Write(path string) error { return c.write(path) }

// Unclean is the checkpoint of a broker that crashed after c.
func (c checkpoint) Unclean() checkpoint { return c.with(false, nil) }
