package embedded

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ErrLocked is wrapped by the error of Start when another broker uses the directory.
var ErrLocked = errors.New("embedded: another broker uses the directory")

// The files in the directory of an embedded broker.
const (
	lockFile       = "lock"
	checkpointFile = "checkpoint.json"
	journalFile    = "transaction"
	dataDirName    = "kafka"
)

// directory is the locked directory of a broker: the data of kfake, and beside it the files that make it crash-safe.
type directory struct {
	dir        string
	dataDir    string // of kfake
	lock       *os.File
	journal    *journal
	checkpoint checkpoint

	// unclean reports that the last run did not end in order, or left a transaction open.
	unclean bool
}

// openDirectory locks the directory and prepares its data for kfake.
func openDirectory(dir string, durable bool) (*directory, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("creating the data directory: %w; choose a directory that can be written", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	d := &directory{dir: dir, dataDir: filepath.Join(dir, dataDirName), lock: lock}
	if err := d.prepare(durable); err != nil {
		return nil, errors.Join(fmt.Errorf("data directory %s: %w", dir, err), d.close())
	}
	return d, nil
}

// lockDir takes the lock of dir for this process (EB1). The file holds the id of the process, for the error message of
// a process that finds the lock taken.
func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockFile)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("locking the data directory: %w; choose a directory that can be written", err)
	}
	if err := tryLock(f); err != nil {
		holder, _ := io.ReadAll(f)
		f.Close()
		who := "another process"
		if pid := strings.TrimSpace(string(holder)); pid != "" {
			who = "process " + pid
		}
		return nil, fmt.Errorf("%w: %s is locked by %s (%w); connect to that one, end it, or choose another directory",
			ErrLocked, dir, who, err)
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("locking the data directory: %w", err)
	}
	return f, nil
}

// prepare reads what the last run left and, after a crash, makes it fit for kfake.
func (d *directory) prepare(durable bool) (err error) {
	if d.checkpoint, err = readCheckpoint(d.path(checkpointFile)); err != nil {
		return err
	}
	if d.journal, err = openJournal(d.path(journalFile), durable); err != nil {
		return err
	}
	if d.checkpoint.Clean {
		return nil
	}
	if _, err := os.Stat(d.dataDir); errors.Is(err, fs.ErrNotExist) {
		return nil // the first start
	}
	d.unclean = true
	if err := d.dropDerived(); err != nil {
		return err
	}
	_, err = completeSegmentIndexes(d.dataDir)
	return err
}

func (d *directory) path(name string) string { return filepath.Join(d.dir, name) }

// dropDerived removes the files that kfake derived from its logs when it last stopped in order. After a crash they are
// older than the logs:
//
//   - A snapshot of a partition may miss a transaction that is open at the end of the log, or take a committed one for
//     aborted. Without the snapshot the exact start of a log after DeleteRecords is lost: it goes back to the beginning of
//     a segment.
//   - The session state would bring back members of groups and transactions that ended with the crash.
//   - Old sequence numbers would break a producer that outlived the broker.
func (d *directory) dropDerived() error {
	return errors.Join(
		dropSnapshots(d.dataDir),
		removeIfExists(filepath.Join(d.dataDir, sessionFile)),
		removeIfExists(filepath.Join(d.dataDir, sequencesFile)),
	)
}

// finish records an end in order, after kfake has written its state. It removes the session state: with it the next run
// would bring back members of groups, and all other members would have to wait for them.
func (d *directory) finish(settled map[string]int64) error {
	session := filepath.Join(d.dataDir, sessionFile)
	open, err := hasOpenTransactions(session)
	if err != nil {
		return err
	}
	if open {
		err = d.dropDerived()
	} else {
		err = removeIfExists(session)
	}
	if err != nil {
		return err
	}
	if err := d.journal.clear(); err != nil {
		return err
	}
	return d.checkpoint.with(!open, settled).write(d.path(checkpointFile))
}

// hasOpenTransactions reads kfake's session state.
func hasOpenTransactions(path string) (bool, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var session struct {
		InProgressTxns []json.RawMessage `json:"inProgressTxns"`
	}
	// If it is unreadable, the repair must look.
	return !decodes(data, &session) || len(session.InProgressTxns) > 0, nil
}

// close releases the directory.
func (d *directory) close() error {
	var err error
	if d.journal != nil {
		err = d.journal.close()
	}
	return errors.Join(err, d.lock.Close())
}
