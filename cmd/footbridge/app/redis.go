package app

import (
	"context"
	"fmt"
	"log/slog"

	"footbridge/queue"
	"footbridge/queue/redislane"
)

// openRedis makes the lanes that live in Redis. An absent Redis is no error here: the runner waits for it.
func openRedis(_ context.Context, address string, _ *slog.Logger) (queue.Scheduler, func() error, error) {
	client, err := redislane.Dial(address)
	if err != nil {
		return nil, nil, fmt.Errorf("redis_url: %w", err)
	}
	lanes, err := redislane.New(client, redislane.Options{})
	if err != nil {
		return nil, nil, fmt.Errorf("redis_url: %w", err)
	}
	return lanes, client.Close, nil
}
