/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm.h"

#include <errno.h>
#include <linux/serial_reg.h>
#include <string.h>
#include <unistd.h>

#define CLOCK_DIVISOR 1 /* 115200 baud */

/* The reason the interrupt line is up, highest first, as IIR reports it. */
static uint8_t interrupt_id(const struct vmm_serial *s)
{
	if ((s->ier & UART_IER_RDI) && s->rx_count)
		return UART_IIR_RDI;
	if ((s->ier & UART_IER_THRI) && s->thr_empty_pending)
		return UART_IIR_THRI;
	return UART_IIR_NO_INT;
}

static void update_line(struct vmm_serial *s)
{
	bool level = interrupt_id(s) != UART_IIR_NO_INT;

	if (level != s->level)
		irq_line(s->vmm, VMM_SERIAL_GSI, level);
	s->level = level;
}

static void rx_put(struct vmm_serial *s, uint8_t byte)
{
	if (s->rx_count < SERIAL_RX_SIZE)
		s->rx[(s->rx_head + s->rx_count++) % SERIAL_RX_SIZE] = byte;
}

static uint8_t rx_get(struct vmm_serial *s)
{
	uint8_t byte = s->rx[s->rx_head];

	if (!s->rx_count)
		return 0;
	s->rx_head = (s->rx_head + 1) % SERIAL_RX_SIZE;
	s->rx_count--;
	return byte;
}

/* Transmission takes no time: the holding register is empty again at once. */
static void transmit(struct vmm_serial *s, uint8_t byte)
{
	ssize_t n;

	s->thr_empty_pending = true;
	if (s->mcr & UART_MCR_LOOP) {
		rx_put(s, byte);
		return;
	}
	do {
		n = write(STDOUT_FILENO, &byte, 1);
	} while (n < 0 && errno == EINTR);
}

static void write_register(struct vmm_serial *s, uint64_t offset, uint8_t value)
{
	bool latch = s->lcr & UART_LCR_DLAB;

	switch (offset) {
	case UART_TX:
		if (latch)
			s->dll = value;
		else
			transmit(s, value);
		break;
	case UART_IER:
		if (latch) {
			s->dlm = value;
			break;
		}
		/* Enabling the interrupt reports an empty holding register, which it always is. */
		s->thr_empty_pending |= (value & ~s->ier & UART_IER_THRI) != 0;
		s->ier = value & 0xf;
		break;
	case UART_FCR:
		s->fifo = value & UART_FCR_ENABLE_FIFO;
		if (value & UART_FCR_CLEAR_RCVR)
			s->rx_count = 0;
		break;
	case UART_LCR:
		s->lcr = value;
		break;
	case UART_MCR:
		s->mcr = value & 0x1f;
		break;
	case UART_SCR:
		s->scr = value;
		break;
	default:
		break;
	}
}

static uint8_t read_iir(struct vmm_serial *s)
{
	uint8_t id = interrupt_id(s);

	if (id == UART_IIR_THRI) /* reading it is the acknowledgement */
		s->thr_empty_pending = false;
	return id | (s->fifo ? 0xc0 : 0);
}

/* In loop-back the four modem inputs follow the four outputs. */
static uint8_t read_msr(const struct vmm_serial *s)
{
	if (!(s->mcr & UART_MCR_LOOP))
		return UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS;
	return (uint8_t)((s->mcr & UART_MCR_RTS ? UART_MSR_CTS : 0) |
			 (s->mcr & UART_MCR_DTR ? UART_MSR_DSR : 0) |
			 (s->mcr & UART_MCR_OUT1 ? UART_MSR_RI : 0) |
			 (s->mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0));
}

static uint8_t read_register(struct vmm_serial *s, uint64_t offset)
{
	bool latch = s->lcr & UART_LCR_DLAB;

	switch (offset) {
	case UART_RX:
		return latch ? s->dll : rx_get(s);
	case UART_IER:
		return latch ? s->dlm : s->ier;
	case UART_IIR:
		return read_iir(s);
	case UART_LCR:
		return s->lcr;
	case UART_MCR:
		return s->mcr;
	case UART_LSR:
		return (uint8_t)(UART_LSR_TEMT | UART_LSR_THRE | (s->rx_count ? UART_LSR_DR : 0));
	case UART_MSR:
		return read_msr(s);
	default:
		return s->scr;
	}
}

static void serial_access(struct vmm_window *w, uint64_t offset, void *data, unsigned int len,
			  bool write)
{
	struct vmm_serial *s = (struct vmm_serial *)w;
	uint8_t *byte = data;

	if (!write)
		memset(data, 0xff, len);
	pthread_mutex_lock(&s->lock);
	if (write)
		write_register(s, offset, *byte);
	else
		*byte = read_register(s, offset);
	update_line(s);
	pthread_mutex_unlock(&s->lock);
}

void serial_receive(struct vmm_serial *s, const uint8_t *data, size_t len)
{
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < len; i++)
		rx_put(s, data[i]);
	update_line(s);
	pthread_mutex_unlock(&s->lock);
}

void serial_reset(struct vmm_serial *s)
{
	pthread_mutex_lock(&s->lock);
	s->ier = s->lcr = s->mcr = s->scr = s->dlm = 0;
	s->dll = CLOCK_DIVISOR;
	s->fifo = s->thr_empty_pending = s->level = false;
	s->rx_count = 0;
	pthread_mutex_unlock(&s->lock);
}

int serial_init(struct vmm_serial *s, struct vmm *vmm)
{
	int rc = -pthread_mutex_init(&s->lock, NULL);

	if (rc)
		return rc;
	s->vmm = vmm;
	s->window = (struct vmm_window){
		.base = VMM_SERIAL_PORT,
		.size = 8,
		.access = serial_access,
	};
	space_add(&vmm->ports, &s->window);
	serial_reset(s);
	return 0;
}

void serial_fini(struct vmm_serial *s)
{
	pthread_mutex_destroy(&s->lock);
}
