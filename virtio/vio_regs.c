// SPDX-License-Identifier: BSD-3-Clause
/*
 * The common configuration structure (virtio 1.2, 4.1.4.3).
 *
 * Reads have no effect, so a read of any width is a slice of an image made at once. Writes are of
 * whole fields; an address of 64 bits may be written in halves (4.1.3.1).
 */
#include <string.h>
#include "virtio/vio_priv.h"

/* As it lies in the BAR; all fields are little endian, as the host is. */
struct common {
	uint32_t device_sel, device_features, driver_sel, driver_features;
	uint16_t config_vector, num_queues;
	uint8_t status, generation;
	uint16_t queue_sel, queue_size, queue_vector, queue_enable, queue_notify_off;
	uint64_t queue_desc, queue_driver, queue_device;
	uint16_t queue_notify_data, queue_reset;
};
_Static_assert(sizeof(struct common) == 0x40, "4.1.4.3, with the padding at its end");

/* The queue that is selected, NULL for one that does not exist: it reads as zeroes. */
static struct vio_queue *selected(const struct vio_pci *p)
{
	return p->queue_sel < p->v->nqueues ? &p->v->q[p->queue_sel] : NULL;
}

static uint32_t half(uint64_t val, uint32_t sel)
{
	return sel < 2 ? (uint32_t)(val >> (32 * sel)) : 0;
}

static void image(const struct vio_pci *p, struct common *c)
{
	const struct vio *v = p->v;
	const struct vio_queue *q = selected(p);

	*c = (struct common){
		.device_sel = p->device_sel,
		.device_features = half(vio_offered(v), p->device_sel),
		.driver_sel = p->driver_sel,
		.driver_features = half(p->driver_features, p->driver_sel),
		.config_vector = p->config_vector,
		.num_queues = (uint16_t)v->nqueues,
		.status = atomic_load(&v->status),
		.generation = (uint8_t)atomic_load(&v->generation),
		.queue_sel = p->queue_sel,
		.queue_vector = VIO_NO_VECTOR,
	};
	if (!q)
		return;
	c->queue_size = q->size;
	c->queue_vector = q->vector;
	c->queue_enable = q->enabled;
	c->queue_notify_off = p->queue_sel;
	c->queue_desc = q->desc;
	c->queue_driver = q->driver;
	c->queue_device = q->device;
	c->queue_notify_data = p->queue_sel;
	c->queue_reset = p->queue_resetting[p->queue_sel];
}

enum vm_io_result vio_common_read(struct vio_pci *p, unsigned int off, unsigned int len,
				  uint64_t *val)
{
	struct common c;

	*val = 0;
	if (!range_ok(off, len, sizeof(c)))
		return VM_IO_ERROR;
	vio_settle(p->v);
	image(p, &c);
	memcpy(val, (const uint8_t *)&c + off, len);
	return VM_IO_OK;
}

/* ---- writes ---- */

static void set_device_sel(struct vio_pci *p, uint32_t val)
{
	p->device_sel = val;
}

static void set_driver_sel(struct vio_pci *p, uint32_t val)
{
	p->driver_sel = val;
}

static void set_driver_features(struct vio_pci *p, uint32_t val)
{
	unsigned int shift = 32 * p->driver_sel;

	if (atomic_load(&p->v->status) & ST_FEATURES_OK) {
		vio_refuse(p->v, "changed features after they were accepted");
		return;
	}
	if (p->driver_sel > 1)
		return; /* nothing is offered there: drivers write zeroes */
	p->driver_features &= ~((uint64_t)UINT32_MAX << shift);
	p->driver_features |= (uint64_t)val << shift;
}

static void set_config_vector(struct vio_pci *p, uint32_t val)
{
	p->config_vector = (uint16_t)val;
	atomic_store(&p->v->config_call, vio_pci_vector(p, &p->config_vector));
}

static void set_status(struct vio_pci *p, uint32_t val)
{
	vio_status_write(p->v, (uint8_t)val);
}

static void set_queue_sel(struct vio_pci *p, uint32_t val)
{
	p->queue_sel = (uint16_t)val;
}

/* The selected queue if it may be set up now. */
static struct vio_queue *idle(struct vio_pci *p)
{
	struct vio_queue *q = selected(p);

	if (q && !q->enabled && !p->queue_resetting[p->queue_sel])
		return q;
	vio_refuse(p->v, q ? "changed a queue that is enabled" : "set up a queue that is none");
	return NULL;
}

static void set_queue_size(struct vio_pci *p, uint32_t val)
{
	struct vio_queue *q = idle(p);

	if (q)
		q->size = (uint16_t)val; /* looked at when the queue is enabled */
}

/* May be changed while the queue runs: Linux does so when it sets affinities up. */
static void set_queue_vector(struct vio_pci *p, uint32_t val)
{
	struct vio_queue *q = selected(p);

	if (!q)
		return;
	q->vector = (uint16_t)val;
	atomic_store(&q->call, vio_pci_vector(p, &q->vector));
	if (p->v->started && q->enabled && p->v->ops->call_changed)
		p->v->ops->call_changed(p->v, p->queue_sel);
}

static void set_queue_enable(struct vio_pci *p, uint32_t val)
{
	/* Only a reset disables a queue (4.1.4.3.2). */
	if (val == 1 && selected(p))
		vio_queue_enable(p->v, p->queue_sel);
	else
		vio_refuse(p->v, "wrote nonsense to queue_enable");
}

static void set_queue_reset(struct vio_pci *p, uint32_t val)
{
	if (val == 1 && selected(p))
		vio_queue_reset(p->v, p->queue_sel);
}

static void put_half(uint64_t *reg, unsigned int high, uint32_t val)
{
	*reg = high ? (uint64_t)val << 32 | (uint32_t)*reg : (*reg & ~(uint64_t)UINT32_MAX) | val;
}

#define ADDRESS(field)                                                \
	static void set_##field##_lo(struct vio_pci *p, uint32_t val) \
	{                                                             \
		struct vio_queue *q = idle(p);                        \
                                                                      \
		if (q)                                                \
			put_half(&q->field, 0, val);                  \
	}                                                             \
	static void set_##field##_hi(struct vio_pci *p, uint32_t val) \
	{                                                             \
		struct vio_queue *q = idle(p);                        \
                                                                      \
		if (q)                                                \
			put_half(&q->field, 1, val);                  \
	}
ADDRESS(desc)
ADDRESS(driver)
ADDRESS(device)

static const struct {
	uint8_t off, len;
	void (*set)(struct vio_pci *p, uint32_t val);
} fields[] = {
	{ offsetof(struct common, device_sel), 4, set_device_sel },
	{ offsetof(struct common, driver_sel), 4, set_driver_sel },
	{ offsetof(struct common, driver_features), 4, set_driver_features },
	{ offsetof(struct common, config_vector), 2, set_config_vector },
	{ offsetof(struct common, status), 1, set_status },
	{ offsetof(struct common, queue_sel), 2, set_queue_sel },
	{ offsetof(struct common, queue_size), 2, set_queue_size },
	{ offsetof(struct common, queue_vector), 2, set_queue_vector },
	{ offsetof(struct common, queue_enable), 2, set_queue_enable },
	{ offsetof(struct common, queue_desc), 4, set_desc_lo },
	{ offsetof(struct common, queue_desc) + 4, 4, set_desc_hi },
	{ offsetof(struct common, queue_driver), 4, set_driver_lo },
	{ offsetof(struct common, queue_driver) + 4, 4, set_driver_hi },
	{ offsetof(struct common, queue_device), 4, set_device_lo },
	{ offsetof(struct common, queue_device) + 4, 4, set_device_hi },
	{ offsetof(struct common, queue_reset), 2, set_queue_reset },
};

static bool field_write(struct vio_pci *p, unsigned int off, unsigned int len, uint32_t val)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(fields); i++) {
		if (fields[i].off != off || fields[i].len != len)
			continue;
		fields[i].set(p, val);
		return true;
	}
	return false;
}

enum vm_io_result vio_common_write(struct vio_pci *p, unsigned int off, unsigned int len,
				   uint64_t val)
{
	bool ok;

	vio_settle(p->v);
	if (p->resetting)
		return VM_IO_OK; /* nothing has an effect until the device has let go */
	if (len == 8)
		ok = off >= offsetof(struct common, queue_desc) &&
		     field_write(p, off, 4, (uint32_t)val) &&
		     field_write(p, off + 4, 4, (uint32_t)(val >> 32));
	else
		ok = field_write(p, off, len, (uint32_t)val);
	if (ok)
		return VM_IO_OK;
	p->refused++;
	return VM_IO_ERROR;
}
