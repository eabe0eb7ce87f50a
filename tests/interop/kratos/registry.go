package main

import (
	"context"
	"encoding/json"

	api "github.com/go-kratos/kratos/v2/registry"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// registry has instances where Kratos' contrib/registry/etcd has them, as JSON:
// /microservices/NAME/ID. It is written anew here: what tests show is that Kratos understands the
// instances, and not where Kratos would keep them.
type registry struct {
	client *clientv3.Client
}

var (
	_ api.Registrar = (*registry)(nil)
	_ api.Discovery = (*registry)(nil)
)

// ttl is how long an instance is known after its process has died, in seconds.
const ttl = 15

func newRegistry(client *clientv3.Client) *registry {
	return &registry{client: client}
}

func prefix(name string) string {
	return "/microservices/" + name
}

func (r *registry) Register(ctx context.Context, instance *api.ServiceInstance) error {
	lease, err := r.client.Grant(ctx, ttl)
	if err != nil {
		return err
	}
	value, err := json.Marshal(instance)
	if err != nil {
		return err
	}
	key := prefix(instance.Name) + "/" + instance.ID
	if _, err = r.client.Put(ctx, key, string(value), clientv3.WithLease(lease.ID)); err != nil {
		return err
	}
	// For as long as the process lives.
	renewals, err := r.client.KeepAlive(context.Background(), lease.ID)
	if err != nil {
		return err
	}
	go func() {
		for range renewals {
		}
	}()
	return nil
}

func (r *registry) Deregister(ctx context.Context, instance *api.ServiceInstance) error {
	_, err := r.client.Delete(ctx, prefix(instance.Name)+"/"+instance.ID)
	return err
}

func (r *registry) GetService(ctx context.Context, name string) ([]*api.ServiceInstance, error) {
	response, err := r.client.Get(ctx, prefix(name), clientv3.WithPrefix())
	if err != nil {
		return nil, err
	}
	instances := []*api.ServiceInstance{}
	for _, entry := range response.Kvs {
		instance := new(api.ServiceInstance)
		if err := json.Unmarshal(entry.Value, instance); err != nil {
			return nil, err
		}
		if instance.Name == name {
			instances = append(instances, instance)
		}
	}
	return instances, nil
}

func (r *registry) Watch(ctx context.Context, name string) (api.Watcher, error) {
	ctx, cancel := context.WithCancel(ctx)
	changes := r.client.Watch(ctx, prefix(name), clientv3.WithPrefix())
	return &watcher{registry: r, name: name, ctx: ctx, cancel: cancel, changes: changes}, nil
}

type watcher struct {
	registry *registry
	name     string
	ctx      context.Context
	cancel   context.CancelFunc
	changes  clientv3.WatchChan
	listed   bool
}

func (w *watcher) Next() ([]*api.ServiceInstance, error) {
	if w.listed {
		select {
		case <-w.changes:
		case <-w.ctx.Done():
			return nil, w.ctx.Err()
		}
	}
	w.listed = true
	return w.registry.GetService(w.ctx, w.name)
}

func (w *watcher) Stop() error {
	w.cancel()
	return nil
}
