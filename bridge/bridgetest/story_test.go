package bridgetest_test

import (
	"os"
	"strings"
	"testing"

	"footbridge/activitypub/activitypubtest"
	"footbridge/bridge/bridgetest"
)

// play tells the whole story in a world and fails with the transcript if a step does not hold.
func play(t *testing.T, o bridgetest.Options) {
	t.Helper()
	var transcript strings.Builder
	story := bridgetest.NewStory(&transcript)
	o.Observe = story.Observe
	world, err := bridgetest.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := world.Close(); err != nil {
			t.Error("stopping the world:", err)
		}
	})
	if err := story.Tell(t.Context(), world); err != nil {
		t.Fatalf("%v\n%s", err, transcript.String())
	}
}

func TestStoryOnTheDefaults(t *testing.T) {
	for _, dialect := range []activitypubtest.Dialect{activitypubtest.Mastodon, activitypubtest.Pleroma} {
		t.Run(string(dialect), func(t *testing.T) { play(t, bridgetest.Options{Dialect: dialect}) })
	}
}

func TestStoryOnPostgresAndRedis(t *testing.T) {
	play(t, bridgetest.Options{DatabaseURL: freshDatabase(t, need(t, "FOOTBRIDGE_TEST_POSTGRES")), RedisURL: "redis://" + need(t, "FOOTBRIDGE_TEST_REDIS")})
}

// need reads where a service of the test run is; `make test` starts them.
func need(t *testing.T, name string) string {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		t.Fatalf("%s is not set; run the tests with make test, which starts the services", name)
	}
	return v
}
