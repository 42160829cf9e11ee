// SPDX-License-Identifier: BSD-3-Clause
// Entry of all payloads: Multiboot 1, 32-bit protected mode without paging, a stack, and a GDT of our own.
#define STACK_SIZE 0x4000

	.section .multiboot, "a"
	.balign 4
	.long 0x1badb002
	.long 3				// modules on pages, memory map
	.long -(0x1badb002 + 3)

	.text
	.code32
	.globl _start
	.weak ap_main			// only one payload has it
_start:
	cld
	lgdt gdt_ptr
	ljmp $0x08, $1f
1:	mov $0x10, %cx
	mov %cx, %ds
	mov %cx, %es
	mov %cx, %ss
	mov $stack_top, %esp
	push %ebx
	push %eax
	call guest_start
2:	hlt
	jmp 2b

// An application processor starts here in real mode; copied to AP_PAGE, so addresses are relative to it.
	.globl ap_start, ap_end
	.code16
ap_start:
	cli
	xor %ax, %ax
	mov %ax, %ds
	lgdtl AP_PAGE + (ap_gdt_ptr - ap_start)
	mov %cr0, %eax
	or $1, %eax
	mov %eax, %cr0
	ljmpl $0x08, $ap_start32
	.balign 4
ap_gdt_ptr:
	.word gdt_end - gdt - 1
	.long gdt
ap_end:

	.code32
ap_start32:
	mov $0x10, %cx
	mov %cx, %ds
	mov %cx, %es
	mov %cx, %ss
	mov $0x1000, %eax
	lock xadd %eax, ap_stack_used	// a stack of a page for each
	lea ap_stacks + 0x1000(%eax), %esp
	call ap_main
3:	hlt
	jmp 3b

// Interrupt gates: vector v enters at irq_stubs + 16 * (v - 0x20).
	.globl irq_stubs
	.balign 16
irq_stubs:
	.set v, 0x20
	.rept 16
	push %eax
	mov $v, %eax
	jmp irq_common
	.balign 16
	.set v, v + 1
	.endr
irq_common:
	push %ecx
	push %edx
	push %eax
	call irq_entry
	add $4, %esp
	pop %edx
	pop %ecx
	// Back to ring 0 without iret, which a KVM that emulates ring 0 lacks: eip, cs, eflags become cs, eflags, eip.
	mov 4(%esp), %eax
	xchg %eax, 12(%esp)
	mov %eax, 8(%esp)
	pop %eax
	add $4, %esp
	popf
	ret

	.data
	.balign 8
gdt:
	.quad 0
	.quad 0x00cf9b000000ffff
	.quad 0x00cf93000000ffff
gdt_end:
gdt_ptr:
	.word gdt_end - gdt - 1
	.long gdt
ap_stack_used:
	.long 0

	.bss
	.balign 4096
ap_stacks:
	.skip 16 * 0x1000
	.skip STACK_SIZE
stack_top:

	.section .note.GNU-stack, "", @progbits
