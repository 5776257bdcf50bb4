package bridgetest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"footbridge/activitypub/activitypubtest"
	"footbridge/bridge/bridgetest"
	"footbridge/bridge/store"
)

// TestF15RestoreBringsNothingBack: a backup, then a deletion and a withdrawal, then the backup restored. What was taken
// back stays away.
func TestF15RestoreBringsNothingBack(t *testing.T) {
	dir := t.TempDir()
	story := bridgetest.NewStory(io.Discard)
	world, err := bridgetest.New(t.Context(), bridgetest.Options{Dir: dir, Observe: story.Observe})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := world.Close(); err != nil {
			t.Error(err)
		}
	})
	people, err := story.Gather(t.Context(), world)
	if err != nil {
		t.Fatal(err)
	}
	kept := post(t, people, "kept post")
	doomed := post(t, people, "doomed post")
	var backup bytes.Buffer
	if err := world.App().DB.Backup(t.Context(), &backup); err != nil {
		t.Fatal(err)
	}
	if err := people.Ana.Delete(t.Context(), doomed); err != nil {
		t.Fatal(err)
	}
	awaitGone(t, people, "doomed post")
	restore(t, world, dir, &backup)
	if _, err := people.View.Find(t.Context(), people.AnaCopy, "kept post"); err != nil {
		t.Error("what was not deleted is lost:", err)
	}
	awaitGone(t, people, "doomed post")
	_ = kept
	leaveAndRestore(t, world, people, dir)
}

// leaveAndRestore withdraws after a backup and restores it.
func leaveAndRestore(t *testing.T, world *bridgetest.World, people *bridgetest.People, dir string) {
	t.Helper()
	var backup bytes.Buffer
	if err := world.App().DB.Backup(t.Context(), &backup); err != nil {
		t.Fatal(err)
	}
	if _, err := people.Ana.Block(t.Context(), people.Bot); err != nil {
		t.Fatal(err)
	}
	away := func(ctx context.Context) error {
		if _, err := people.View.Profile(ctx, people.AnaCopy); err == nil {
			return errors.New("Ana's copy is shown")
		}
		return nil
	}
	if err := bridgetest.Eventually(t.Context(), "Ana gone", away); err != nil {
		t.Fatal(err)
	}
	restore(t, world, dir, &backup)
	if err := bridgetest.Eventually(t.Context(), "Ana still gone after the restore", away); err != nil {
		t.Fatal(err)
	}
}

func post(t *testing.T, p *bridgetest.People, text string) string {
	t.Helper()
	posted, err := p.Ana.Post(t.Context(), activitypubtest.Note{Content: "<p>" + text + "</p>"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.View.Find(t.Context(), p.AnaCopy, text); err != nil {
		t.Fatal(err)
	}
	return posted.ID
}

func awaitGone(t *testing.T, p *bridgetest.People, text string) {
	t.Helper()
	err := bridgetest.Eventually(t.Context(), text+" gone", func(ctx context.Context) error {
		posts, err := p.View.Feed(ctx, p.AnaCopy)
		if err != nil {
			return err
		}
		for _, one := range posts {
			if one.Record.Text == text {
				return errors.New("still there")
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// restore puts a backup in the place of the running bridge's database and starts again.
func restore(t *testing.T, world *bridgetest.World, dir string, backup io.Reader) {
	t.Helper()
	if err := world.StopBridge(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "data", "footbridge.db")
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	db, err := store.Restore(t.Context(), store.Options{Path: path}, backup)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := world.StartBridge(t.Context()); err != nil {
		t.Fatal(err)
	}
}
