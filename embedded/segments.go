package embedded

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// The files of kfake that a start completes or removes after a crash. A log segment is a sequence of plain Kafka record
// batches. Beside it is its segment index, with one entry for each batch:
//
//	+---------+----------+--------------+---------------+-------+
//	| version | checksum | leader epoch | max timestamp | flags |
//	|  1 byte |  1 byte  |    4 bytes   |    8 bytes    | 1 byte|
//	+---------+----------+--------------+---------------+-------+
//
// Numbers are little endian. The checksum is the lowest byte of the CRC-32C of the fields after it. Bit 0 of the flags
// means transactional data. The version of kfake is pinned by go.mod; a test fails if another version changes the
// format.
const (
	segmentSuffix = ".dat"
	indexSuffix   = ".idx"

	indexVersion = 1
	indexEntry   = 15

	// Offsets in the header of a record batch, big endian, and its size.
	batchLength     = 8
	batchEpoch      = 12
	batchAttributes = 21
	batchHeader     = 61

	attributeTransactional = 1 << 4
	attributeControl       = 1 << 5

	snapshotFile   = "snapshot.json"
	sessionFile    = "session_state.json"
	sequencesFile  = "seq_windows.json"
	partitionsPath = "partitions"
)

// completeSegmentIndexes completes the segment indexes below the data directory of kfake and returns the number of
// entries that it wrote.
//
// kfake writes a batch and then its index entry. If it is killed in between, its next start finds a batch without an
// entry and takes it for non-transactional. From then on every entry is off by one, and aborted records become visible.
func completeSegmentIndexes(dataDir string) (mended int, err error) {
	segments, err := partitionFiles(dataDir, segmentSuffix)
	if err != nil {
		return 0, err
	}
	for _, segment := range segments {
		n, err := completeSegmentIndex(segment, strings.TrimSuffix(segment, segmentSuffix)+indexSuffix)
		if err != nil {
			return mended, err
		}
		mended += n
	}
	return mended, nil
}

// completeSegmentIndex writes the missing and damaged entries of one segment index and returns their number.
func completeSegmentIndex(segment, index string) (int, error) {
	entries, err := os.ReadFile(index)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	f, err := os.Open(segment)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}

	mended := 0
	header := make([]byte, batchHeader)
	for at, i := int64(0), 0; at+batchHeader <= info.Size(); i++ {
		if _, err := io.ReadFull(io.NewSectionReader(f, at, batchHeader), header); err != nil {
			return 0, err
		}
		size := 12 + int64(int32(binary.BigEndian.Uint32(header[batchLength:])))
		if size < batchHeader || at+size > info.Size() {
			break // a batch that was not written completely; kfake truncates it
		}
		entry := entryOf(header)
		if end := (i + 1) * indexEntry; len(entries) < end {
			entries = append(entries[:i*indexEntry], entry...)
			mended++
		} else if old := entries[end-indexEntry : end]; !validEntry(old) {
			copy(old, entry)
			mended++
		}
		at += size
	}
	if mended == 0 {
		return 0, nil
	}
	return mended, writeFileAtomic(index, entries)
}

// entryOf returns the index entry of the batch with the given header. The maximal timestamp stays 0: kfake computes it
// when it loads a segment.
func entryOf(header []byte) []byte {
	entry := make([]byte, indexEntry)
	entry[0] = indexVersion
	binary.LittleEndian.PutUint32(entry[2:], binary.BigEndian.Uint32(header[batchEpoch:]))
	attributes := binary.BigEndian.Uint16(header[batchAttributes:])
	if attributes&attributeTransactional != 0 && attributes&attributeControl == 0 {
		entry[indexEntry-1] = 1
	}
	entry[1] = byte(checksum(entry[2:]))
	return entry
}

func validEntry(entry []byte) bool {
	return entry[0] == indexVersion && entry[1] == byte(checksum(entry[2:]))
}

// dropSnapshots removes the snapshots of all partitions, so that kfake reads its logs instead.
func dropSnapshots(dataDir string) error {
	snapshots, err := partitionFiles(dataDir, snapshotFile)
	if err != nil {
		return err
	}
	for _, snapshot := range snapshots {
		if err := removeIfExists(snapshot); err != nil {
			return err
		}
	}
	return nil
}

// partitionFiles returns the paths of the files with the given suffix in the directories of all partitions.
func partitionFiles(dataDir, suffix string) ([]string, error) {
	root := filepath.Join(dataDir, partitionsPath)
	partitions, err := readDirIfExists(root)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, partition := range partitions {
		files, err := readDirIfExists(filepath.Join(root, partition.Name()))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			if strings.HasSuffix(file.Name(), suffix) {
				paths = append(paths, filepath.Join(root, partition.Name(), file.Name()))
			}
		}
	}
	return paths, nil
}

func readDirIfExists(dir string) ([]os.DirEntry, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return entries, err
}

func removeIfExists(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
