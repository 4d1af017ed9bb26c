package broker

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

// ErrLocked is wrapped by the error of StartEmbedded when another broker uses
// the directory.
var ErrLocked = errors.New("another embedded broker uses the directory")

// The files in the directory of an embedded broker.
const (
	lockFile       = "lock"
	checkpointFile = "checkpoint.json"
	journalFile    = "transaction"
	dataDirName    = "kafka"
)

// store is the directory of an embedded broker, locked: the data of kfake and
// beside it what makes them crash-safe.
type store struct {
	dir        string
	dataDir    string // kfake's
	lock       *os.File
	journal    *journal
	checkpoint checkpoint

	// unclean says that the last run did not end in order, or left a
	// transaction open.
	unclean bool
}

// openStore locks the directory and prepares its data for kfake.
func openStore(dir string, durable bool) (*store, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("creating the data directory: %w; choose a directory that can be written", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	s := &store{dir: dir, dataDir: filepath.Join(dir, dataDirName), lock: lock}
	if err := s.prepare(durable); err != nil {
		return nil, errors.Join(fmt.Errorf("data directory %s: %w", dir, err), s.close())
	}
	return s, nil
}

// lockDir takes the lock of dir for this process. The file says who has it,
// for the message of the next who wants it.
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

// prepare reads what the last run left.
func (s *store) prepare(durable bool) (err error) {
	if s.checkpoint, err = readCheckpoint(s.path(checkpointFile)); err != nil {
		return err
	}
	if s.journal, err = openJournal(s.path(journalFile), durable); err != nil {
		return err
	}
	if s.checkpoint.Clean {
		return nil
	}
	if _, err := os.Stat(s.dataDir); errors.Is(err, fs.ErrNotExist) {
		return nil // the first start
	}
	s.unclean = true
	if err := s.dropDerived(); err != nil {
		return err
	}
	_, err = mendIndexes(s.dataDir)
	return err
}

func (s *store) path(name string) string { return filepath.Join(s.dir, name) }

// dropDerived removes what kfake concluded from its logs and wrote down when
// it last ended in order. After a crash it is of another time than the logs:
//
//   - Snapshots of partitions may know nothing of a transaction that is open
//     at the end of the log, or take a committed one for aborted. What is lost
//     with them is the exact start of a log after DeleteRecords: it goes back
//     to the beginning of a segment.
//   - The session state would bring back members of groups and transactions
//     that ended with the crash.
//   - Old sequence numbers would make a producer that is still there fail.
func (s *store) dropDerived() error {
	return errors.Join(
		dropSnapshots(s.dataDir),
		removeIfExists(filepath.Join(s.dataDir, sessionFile)),
		removeIfExists(filepath.Join(s.dataDir, sequencesFile)),
	)
}

// finish records an end in order, after kfake has written its state. The
// session state is not for the next run: it would bring back the members of
// groups, whom everybody would have to wait for.
func (s *store) finish(settled map[string]int64) error {
	session := filepath.Join(s.dataDir, sessionFile)
	open, err := hasOpenTransactions(session)
	if err != nil {
		return err
	}
	if open {
		err = s.dropDerived()
	} else {
		err = removeIfExists(session)
	}
	if err != nil {
		return err
	}
	if err := s.journal.clear(); err != nil {
		return err
	}
	return s.checkpoint.with(!open, settled).write(s.path(checkpointFile))
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
	// If it is unreadable, let the repair look.
	return !decodes(data, &session) || len(session.InProgressTxns) > 0, nil
}

// close releases the directory.
func (s *store) close() error {
	var err error
	if s.journal != nil {
		err = s.journal.close()
	}
	return errors.Join(err, s.lock.Close())
}
