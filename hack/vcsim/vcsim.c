// SPDX-License-Identifier: GPL-2.0
/*
 * vcsim - a VideoCore that is not there, for tests.
 *
 * It takes the place of bcm2835-mmal-vchiq.ko and of the firmware behind it: it
 * exports what bcm2835-v4l2.ko calls, and registers the device to which that
 * driver binds. So the driver, unmodified, streams in a virtual machine.
 *
 * The sensor's frames are written to /dev/vcsim, one whole JPEG with each
 * write(2), which waits until the frame before it has left. A frame leaves at the
 * sensor's next tick, at the rate that the driver asked for; a tick without a
 * frame passes.
 *
 * The camera appears when "cameras" is set: that is the answer of the firmware.
 */
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include <media/videobuf2-v4l2.h>

#include "mmal-common.h"
#include "mmal-encodings.h"
#include "mmal-msg.h"
#include "mmal-parameters.h"
#include "mmal-vchiq.h"
#include "vchiq_bus.h"

#define MAX_FRAME	(8 << 20)	/* bytes of a frame */
#define MAX_COMPONENTS	16		/* of an instance; the driver makes 5 */
#define CAPTURE_PORT	2		/* of the camera: stills */

static uint max_width = 3280, max_height = 2464;	/* Camera Module 2 */
module_param(max_width, uint, 0444);
module_param(max_height, uint, 0444);
static bool stall;
module_param(stall, bool, 0644);
MODULE_PARM_DESC(stall, "the sensor gives no frames");
static uint drop_every;
module_param(drop_every, uint, 0644);
MODULE_PARM_DESC(drop_every, "each so manyth frame is lost; 0: none");
static bool deaf;
module_param(deaf, bool, 0644);
MODULE_PARM_DESC(deaf, "the firmware answers no call: each fails after 3 s");
static uint bitrate;
module_param(bitrate, uint, 0444);
MODULE_PARM_DESC(bitrate, "of the video encoder, as the driver last set it, in bits per second");
static uint quality;
module_param(quality, uint, 0444);
MODULE_PARM_DESC(quality, "of the stills encoder, as the driver last set it");
static ulong interval_us = 33333;
module_param(interval_us, ulong, 0444);
MODULE_PARM_DESC(interval_us, "between two frames, as the driver last set it, in microseconds");
static uint delivered, lost;
module_param(delivered, uint, 0444);
MODULE_PARM_DESC(delivered, "frames that the driver got");
module_param(lost, uint, 0444);
MODULE_PARM_DESC(lost, "frames that it did not get: dropped, or no buffer was free");

struct vchiq_mmal_instance {
	struct vchiq_mmal_component *components[MAX_COMPONENTS];
};

/*
 * delivering is held while buffers go back to the driver, so that a port is not
 * disabled under one. The driver's callback may call submit_buffer and
 * parameter_set; these take only the lock.
 */
static DEFINE_MUTEX(delivering);

static DEFINE_SPINLOCK(lock);		/* guards all that follows */
static LIST_HEAD(held);			/* buffers that the firmware has */
static struct vchiq_mmal_port *encoder;	/* whose buffers these are; NULL: none */
static struct vchiq_mmal_instance *user;	/* whose port it is */
static bool capturing;
static bool one_shot;			/* stop capturing after a frame */
static u32 video_width = 1920, video_height = 1088;
static u8 *frame;			/* the next one; NULL: none yet */
static size_t frame_size;

static DECLARE_WAIT_QUEUE_HEAD(frame_taken);

/* The firmware's answer to a call. */
static int answer(void)
{
	if (!READ_ONCE(deaf))
		return 0;
	msleep(3000);
	return -ETIME;
}

static void init_port(struct vchiq_mmal_component *c, struct vchiq_mmal_port *p, u32 index)
{
	p->component = c;
	p->index = index;
	p->format.es = &p->es;
	p->minimum_buffer.num = 1;
	p->minimum_buffer.size = 80 << 10;
	p->recommended_buffer = p->minimum_buffer;
	p->current_buffer = p->minimum_buffer;
	INIT_LIST_HEAD(&p->buffers);
	spin_lock_init(&p->slock);
}

int vchiq_mmal_init(struct device *dev, struct vchiq_mmal_instance **out)
{
	*out = kzalloc(sizeof(**out), GFP_KERNEL);
	return *out ? 0 : -ENOMEM;
}
EXPORT_SYMBOL_GPL(vchiq_mmal_init);

int vchiq_mmal_finalise(struct vchiq_mmal_instance *instance)
{
	int i;

	for (i = 0; i < MAX_COMPONENTS; i++)
		kfree(instance->components[i]);
	kfree(instance);
	return 0;
}
EXPORT_SYMBOL_GPL(vchiq_mmal_finalise);

int vchiq_mmal_component_init(struct vchiq_mmal_instance *instance, const char *name,
			      struct vchiq_mmal_component **out)
{
	static const struct {
		const char *name;
		u32 inputs, outputs;
	} kinds[] = {
		{ "camera_info", 0, 0 },
		{ "ril.camera", 0, 3 },
		{ "ril.video_render", 1, 0 },
		{ "ril.image_encode", 1, 1 },
		{ "ril.video_encode", 1, 1 },
	};
	struct vchiq_mmal_component *c;
	int kind, slot, i;

	for (kind = 0; kind < ARRAY_SIZE(kinds); kind++)
		if (!strcmp(name, kinds[kind].name))
			break;
	for (slot = 0; slot < MAX_COMPONENTS; slot++)
		if (!instance->components[slot])
			break;
	if (kind == ARRAY_SIZE(kinds) || slot == MAX_COMPONENTS)
		return -EINVAL;
	c = kzalloc(sizeof(*c), GFP_KERNEL);
	if (!c)
		return -ENOMEM;
	c->in_use = true;
	c->inputs = kinds[kind].inputs;
	c->outputs = kinds[kind].outputs;
	init_port(c, &c->control, 0);
	for (i = 0; i < c->inputs; i++)
		init_port(c, &c->input[i], i);
	for (i = 0; i < c->outputs; i++)
		init_port(c, &c->output[i], i);
	instance->components[slot] = c;
	*out = c;
	return 0;
}
EXPORT_SYMBOL_GPL(vchiq_mmal_component_init);

int vchiq_mmal_component_finalise(struct vchiq_mmal_instance *instance,
				  struct vchiq_mmal_component *c)
{
	int i;

	for (i = 0; i < MAX_COMPONENTS; i++)
		if (instance->components[i] == c)
			instance->components[i] = NULL;
	kfree(c);
	return 0;
}
EXPORT_SYMBOL_GPL(vchiq_mmal_component_finalise);

int vchiq_mmal_component_enable(struct vchiq_mmal_instance *instance,
				struct vchiq_mmal_component *c)
{
	int ret = answer();

	if (!ret)
		c->enabled = true;
	return ret;
}
EXPORT_SYMBOL_GPL(vchiq_mmal_component_enable);

int vchiq_mmal_component_disable(struct vchiq_mmal_instance *instance,
				 struct vchiq_mmal_component *c)
{
	int ret = answer();

	if (!ret)
		c->enabled = false;
	return ret;
}
EXPORT_SYMBOL_GPL(vchiq_mmal_component_disable);

static bool is_camera(struct vchiq_mmal_component *c)
{
	return c->outputs == 3;
}

int vchiq_mmal_port_set_format(struct vchiq_mmal_instance *instance, struct vchiq_mmal_port *p)
{
	int ret = answer();

	if (ret)
		return ret;
	/* The ports for video take what the camera's configuration has said. */
	if (is_camera(p->component) && p->index != CAPTURE_PORT &&
	    (p->es.video.width > video_width || p->es.video.height > video_height))
		return -EINVAL;
	if (p->format.encoding == MMAL_ENCODING_MJPEG)
		bitrate = p->format.bitrate;
	return 0;
}
EXPORT_SYMBOL_GPL(vchiq_mmal_port_set_format);

int vchiq_mmal_port_connect_tunnel(struct vchiq_mmal_instance *instance,
				   struct vchiq_mmal_port *src, struct vchiq_mmal_port *dst)
{
	src->connected = dst;
	src->enabled = false;
	return answer();
}
EXPORT_SYMBOL_GPL(vchiq_mmal_port_connect_tunnel);

int vchiq_mmal_version(struct vchiq_mmal_instance *instance, u32 *major, u32 *minor)
{
	*major = 16;
	*minor = 1;
	return 0;
}
EXPORT_SYMBOL_GPL(vchiq_mmal_version);

int vchiq_mmal_port_parameter_set(struct vchiq_mmal_instance *instance, struct vchiq_mmal_port *p,
				  u32 id, void *value, u32 size)
{
	const struct mmal_parameter_camera_config *config = value;
	const struct mmal_parameter_fps_range *range = value;
	unsigned long flags;
	int ret = answer();

	if (ret)
		return ret;
	spin_lock_irqsave(&lock, flags);
	switch (id) {
	case MMAL_PARAMETER_CAPTURE:
		capturing = *(u32 *)value;
		one_shot = p->index == CAPTURE_PORT;
		break;
	case MMAL_PARAMETER_FPS_RANGE:
		if (range->fps_high.numerator > 0 && range->fps_high.denominator > 0)
			interval_us = div_u64(1000000ULL * range->fps_high.denominator,
					      range->fps_high.numerator);
		break;
	case MMAL_PARAMETER_CAMERA_CONFIG:
		video_width = config->max_preview_video_w;
		video_height = config->max_preview_video_h;
		break;
	case MMAL_PARAMETER_VIDEO_BIT_RATE:
		bitrate = *(u32 *)value;
		break;
	case MMAL_PARAMETER_JPEG_Q_FACTOR:
		quality = *(u32 *)value;
		break;
	}
	spin_unlock_irqrestore(&lock, flags);
	return 0;
}
EXPORT_SYMBOL_GPL(vchiq_mmal_port_parameter_set);

static int cameras = -1;	/* -1: the firmware has not answered yet */

int vchiq_mmal_port_parameter_get(struct vchiq_mmal_instance *instance, struct vchiq_mmal_port *p,
				  u32 id, void *value, u32 *size)
{
	struct mmal_parameter_camera_info *info = value;
	int ret = answer(), i;

	if (ret)
		return ret;
	switch (id) {
	case MMAL_PARAMETER_CAMERA_INFO:
		info->num_cameras = cameras;
		for (i = 0; i < cameras; i++) {
			info->cameras[i].max_width = max_width;
			info->cameras[i].max_height = max_height;
		}
		return 0;
	case MMAL_PARAMETER_SUPPORTED_ENCODINGS:
		*(u32 *)value = MMAL_ENCODING_RGB24;
		*size = sizeof(u32);
		return 0;
	case MMAL_PARAMETER_SYSTEM_TIME:
		*(u64 *)value = ktime_to_us(ktime_get());
		return 0;
	}
	return -EINVAL;
}
EXPORT_SYMBOL_GPL(vchiq_mmal_port_parameter_get);

int mmal_vchi_buffer_init(struct vchiq_mmal_instance *instance, struct mmal_buffer *b)
{
	return 0;
}
EXPORT_SYMBOL_GPL(mmal_vchi_buffer_init);

int mmal_vchi_buffer_cleanup(struct mmal_buffer *b)
{
	return 0;
}
EXPORT_SYMBOL_GPL(mmal_vchi_buffer_cleanup);

int vchiq_mmal_submit_buffer(struct vchiq_mmal_instance *instance, struct vchiq_mmal_port *p,
			     struct mmal_buffer *b)
{
	unsigned long flags;

	spin_lock_irqsave(&lock, flags);
	if (p == encoder) {
		atomic_inc(&p->buffers_with_vpu);
		list_add_tail(&b->list, &held);
	} else {
		list_add_tail(&b->list, &p->buffers);
	}
	spin_unlock_irqrestore(&lock, flags);
	return 0;
}
EXPORT_SYMBOL_GPL(vchiq_mmal_submit_buffer);

int vchiq_mmal_port_enable(struct vchiq_mmal_instance *instance, struct vchiq_mmal_port *p,
			   vchiq_mmal_buffer_cb callback)
{
	struct mmal_buffer *b, *next;
	unsigned long flags;
	int ret = answer();

	if (ret || p->enabled)
		return ret;
	if (callback) {
		/* It has JPEGs, and no other pictures. */
		if (p->format.encoding != MMAL_ENCODING_MJPEG &&
		    p->format.encoding != MMAL_ENCODING_JPEG)
			return -EINVAL;
		spin_lock_irqsave(&lock, flags);
		if (encoder) {
			spin_unlock_irqrestore(&lock, flags);
			return -EBUSY;
		}
		p->buffer_cb = callback;
		list_for_each_entry_safe(b, next, &p->buffers, list) {
			atomic_inc(&p->buffers_with_vpu);
			list_move_tail(&b->list, &held);
		}
		encoder = p;
		user = instance;
		spin_unlock_irqrestore(&lock, flags);
	}
	p->enabled = true;
	return 0;
}
EXPORT_SYMBOL_GPL(vchiq_mmal_port_enable);

static struct mmal_buffer *take_buffer(void)
{
	struct mmal_buffer *b;
	unsigned long flags;

	spin_lock_irqsave(&lock, flags);
	b = list_first_entry_or_null(&held, struct mmal_buffer, list);
	if (b)
		list_del(&b->list);
	spin_unlock_irqrestore(&lock, flags);
	return b;
}

/* delivering is held. */
static void give_back(struct vchiq_mmal_instance *instance, struct vchiq_mmal_port *p,
		      struct mmal_buffer *b, size_t length, u32 mmal_flags)
{
	b->length = length;
	b->mmal_flags = mmal_flags;
	b->pts = ktime_to_us(ktime_get());
	atomic_dec(&p->buffers_with_vpu);
	p->buffer_cb(instance, p, 0, b);
}

int vchiq_mmal_port_disable(struct vchiq_mmal_instance *instance, struct vchiq_mmal_port *p)
{
	struct mmal_buffer *b;
	unsigned long flags;
	int ret = answer();

	if (ret || !p->enabled)
		return ret;
	p->enabled = false;
	mutex_lock(&delivering);
	if (p == encoder) {
		spin_lock_irqsave(&lock, flags);
		encoder = NULL;
		spin_unlock_irqrestore(&lock, flags);
		while ((b = take_buffer()))
			give_back(instance, p, b, 0, 0);
	}
	mutex_unlock(&delivering);
	return 0;
}
EXPORT_SYMBOL_GPL(vchiq_mmal_port_disable);

/*
 * Gives a frame to the driver, in as many buffers as it takes. What does not fit
 * into those that there are is lost, as with the firmware.
 */
static void deliver(const u8 *data, size_t size)
{
	static uint count;
	bool stills = false, drop;
	struct mmal_buffer *b;
	unsigned long flags;
	size_t part;
	u32 mmal_flags;

	mutex_lock(&delivering);
	drop = drop_every && ++count % drop_every == 0;
	while (encoder && !drop && size > 0) {
		b = take_buffer();
		if (!b)
			break;
		part = min_t(size_t, size, b->buffer_size);
		memcpy(b->buffer, data, part);
		data += part;
		size -= part;
		mmal_flags = 0;
		if (size == 0) {
			mmal_flags = MMAL_BUFFER_HEADER_FLAG_FRAME_END;
			spin_lock_irqsave(&lock, flags);
			stills = one_shot;
			if (stills)
				capturing = false;
			spin_unlock_irqrestore(&lock, flags);
			if (stills)	/* the driver asks for the next one */
				mmal_flags |= MMAL_BUFFER_HEADER_FLAG_EOS;
		}
		give_back(user, encoder, b, part, mmal_flags);
	}
	if (size > 0)
		lost++;
	else
		delivered++;
	mutex_unlock(&delivering);
}

static int sensor(void *unused)
{
	ktime_t tick = ktime_get();
	unsigned long flags;
	s64 wait;
	size_t size;
	u8 *data;

	while (!kthread_should_stop()) {
		spin_lock_irqsave(&lock, flags);
		tick = ktime_add_us(tick, interval_us);
		spin_unlock_irqrestore(&lock, flags);
		wait = ktime_us_delta(tick, ktime_get());
		if (wait > 0)
			usleep_range(wait, wait + 100);
		else if (wait < -100000)	/* the machine was away */
			tick = ktime_get();
		data = NULL;
		spin_lock_irqsave(&lock, flags);
		if (capturing && encoder && !stall) {
			data = frame;
			size = frame_size;
			frame = NULL;
		}
		spin_unlock_irqrestore(&lock, flags);
		if (!data)
			continue;
		wake_up_interruptible(&frame_taken);
		deliver(data, size);
		kvfree(data);
	}
	return 0;
}

static ssize_t vcsim_write(struct file *file, const char __user *from, size_t size, loff_t *off)
{
	unsigned long flags;
	u8 *data;
	int ret;

	if (size < 4 || size > MAX_FRAME)
		return -EINVAL;
	data = kvmalloc(size, GFP_KERNEL);
	if (!data)
		return -ENOMEM;
	if (copy_from_user(data, from, size)) {
		kvfree(data);
		return -EFAULT;
	}
	for (;;) {
		spin_lock_irqsave(&lock, flags);
		if (!frame) {
			frame = data;
			frame_size = size;
			spin_unlock_irqrestore(&lock, flags);
			return size;
		}
		spin_unlock_irqrestore(&lock, flags);
		ret = -EAGAIN;
		if (!(file->f_flags & O_NONBLOCK))
			ret = wait_event_interruptible(frame_taken, !READ_ONCE(frame));
		if (ret) {
			kvfree(data);
			return ret;
		}
	}
}

static __poll_t vcsim_poll(struct file *file, poll_table *wait)
{
	poll_wait(file, &frame_taken, wait);
	return READ_ONCE(frame) ? 0 : EPOLLOUT | EPOLLWRNORM;
}

static const struct file_operations vcsim_fops = {
	.owner = THIS_MODULE,
	.write = vcsim_write,
	.poll = vcsim_poll,
};

static struct miscdevice vcsim_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "vcsim",
	.fops = &vcsim_fops,
};

static int no_probe(struct vchiq_device *device)
{
	return -ENODEV;
}

/* It is registered to learn its bus, which vchiq does not export. */
static struct vchiq_driver bus_finder = {
	.probe = no_probe,
	.driver = { .name = "vcsim-bus-finder", .owner = THIS_MODULE },
};

static struct platform_device *parent;
static struct vchiq_device *camera;
static struct task_struct *thread;

static void release_camera(struct device *device)
{
	kfree(to_vchiq_device(device));
}

static int register_camera(void)
{
	int ret;

	camera = kzalloc(sizeof(*camera), GFP_KERNEL);
	if (!camera)
		return -ENOMEM;
	camera->dev.init_name = "bcm2835-camera";
	camera->dev.parent = &parent->dev;
	camera->dev.bus = bus_finder.driver.bus;
	camera->dev.dma_mask = &camera->dev.coherent_dma_mask;
	camera->dev.release = release_camera;
	ret = device_register(&camera->dev);
	if (ret) {
		put_device(&camera->dev);
		camera = NULL;
	}
	return ret;
}

/* The parameter's setters are called one after the other. */
static int set_cameras(const char *text, const struct kernel_param *kp)
{
	int n, ret;

	ret = kstrtoint(text, 0, &n);
	if (ret)
		return ret;
	if (n < 0 || n > MMAL_PARAMETER_CAMERA_INFO_MAX_CAMERAS)
		return -ERANGE;
	if (!parent || camera)	/* too early, or it has answered */
		return -EBUSY;
	cameras = n;
	return register_camera();
}

static const struct kernel_param_ops cameras_ops = {
	.set = set_cameras,
	.get = param_get_int,
};
module_param_cb(cameras, &cameras_ops, &cameras, 0644);
MODULE_PARM_DESC(cameras, "how many the firmware has found: set it once");

static int __init vcsim_init(void)
{
	int ret;

	ret = vchiq_driver_register(&bus_finder);
	if (ret)
		return ret;
	vchiq_driver_unregister(&bus_finder);
	ret = misc_register(&vcsim_misc);
	if (ret)
		return ret;
	thread = kthread_run(sensor, NULL, "vcsim");
	if (IS_ERR(thread)) {
		ret = PTR_ERR(thread);
		goto no_thread;
	}
	parent = platform_device_register_simple("vcsim", PLATFORM_DEVID_NONE, NULL, 0);
	if (IS_ERR(parent)) {
		ret = PTR_ERR(parent);
		parent = NULL;
		goto no_parent;
	}
	return 0;

no_parent:
	kthread_stop(thread);
no_thread:
	misc_deregister(&vcsim_misc);
	return ret;
}
module_init(vcsim_init);

static void __exit vcsim_exit(void)
{
	if (camera)
		device_unregister(&camera->dev);
	platform_device_unregister(parent);
	kthread_stop(thread);
	misc_deregister(&vcsim_misc);
	kvfree(frame);
}
module_exit(vcsim_exit);

MODULE_DESCRIPTION("A VideoCore that is not there, for tests of bcm2835-v4l2");
MODULE_LICENSE("GPL");
