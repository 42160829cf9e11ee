// SPDX-License-Identifier: BSD-3-Clause
// Entry by the PVH protocol (32 bits, no paging, ebx: start info), the way to 64 bits, and the way to ring 3 and
// back. Nothing that was interrupted is ever continued: an exception or an interrupt ends enter(), so no iret back
// is needed, which a KVM that emulates ring 0 may lack.
#define SEL_CODE   0x10
#define SEL_DATA   0x18
#define SEL_UDATA  0x2b
#define SEL_UCODE  0x33
#define SEL_TSS    0x38
#define MSR_EFER   0xc0000080
#define EFER_LME   0x100
#define CR4_PAE    0x20
#define CR0_PG     0x80000000
#define PAGE_2M    0x87			// present, writable, for ring 3 as well, 2 MiB
#define PAGE_TABLE 0x07

	.section .note.pvh, "a", @note
	.long 4, 4, 18			// XEN_ELFNOTE_PHYS32_ENTRY
	.asciz "Xen"
	.long pvh_start

	.text
	.code32
	.globl pvh_start
pvh_start:
	cli
	cld
	mov $boot_stack_top, %esp
	lgdt gdt_ptr
	movl $page_pdpt + PAGE_TABLE, page_pml4
	mov $page_pdpt, %edi
	mov $page_pd + PAGE_TABLE, %eax
	mov $4, %ecx
1:	mov %eax, (%edi)
	add $0x1000, %eax
	add $8, %edi
	dec %ecx
	jnz 1b
	mov $page_pd, %edi		// the first 4 GiB one to one
	mov $PAGE_2M, %eax
	mov $4 * 512, %ecx
2:	mov %eax, (%edi)
	add $0x200000, %eax
	add $8, %edi
	dec %ecx
	jnz 2b
	mov $page_pml4, %eax
	mov %eax, %cr3
	mov %cr4, %eax
	or $CR4_PAE, %eax
	mov %eax, %cr4
	mov $MSR_EFER, %ecx
	rdmsr
	or $EFER_LME, %eax
	wrmsr
	mov %cr0, %eax
	or $CR0_PG, %eax
	mov %eax, %cr0
	ljmp $SEL_CODE, $start64
	.code64
start64:
	mov $SEL_DATA, %eax
	mov %eax, %ss
	mov %eax, %ds
	mov %eax, %es
	mov %ebx, %edi
	call bench_start
3:	hlt
	jmp 3b

// unsigned int enter_asm(fn, arg, ring, rflags)
	.globl enter_asm, user_end
enter_asm:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	sub $8, %rsp
	mov %rsp, enter_rsp
	mov %rdi, %rax
	mov %rsi, %rdi
	test %edx, %edx
	jnz 4f
	push %rcx
	popfq
	call *%rax
	cli
	mov $0x100, %eax		// ENTER_DONE
	jmp leave
4:	mov $user_stack_top - 16, %rdx
	movq $user_end, (%rdx)		// where fn returns to
	pushq $SEL_UDATA
	push %rdx
	push %rcx
	pushq $SEL_UCODE
	push %rax
	iretq
user_end:
	ud2				// back to ring 0 on every kind of machine

// Vector v enters at event_stubs + 16 * v. All registers are free.
	.globl event_stubs
	.balign 16
event_stubs:
	.set v, 0
	.rept 256
	.balign 16
	mov $v, %ebx
	jmp event
	.set v, v + 1
	.endr
event:
	rdtsc
	shl $32, %rdx
	or %rdx, %rax
	mov %rax, event_tsc
	mov %ebx, %edi
	mov %rsp, %rsi
	call event_seen			// does not return outside of enter()
	mov enter_rsp, %rsp
leave:
	movq $0, enter_rsp
	add $8, %rsp
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	ret

	.data
	.balign 8
	.globl gdt_tss
gdt:
	.quad 0, 0
	.quad 0x00af9b000000ffff	// ring 0: code, data
	.quad 0x00cf93000000ffff
	.quad 0x00cffb000000ffff	// ring 3: 32-bit code (unused), data, code
	.quad 0x00cff3000000ffff
	.quad 0x00affb000000ffff
gdt_tss:
	.quad 0, 0
gdt_end:
gdt_ptr:
	.word gdt_end - gdt - 1
	.long gdt, 0
	.globl enter_rsp, event_tsc
enter_rsp:
	.quad 0
event_tsc:
	.quad 0

	.bss
	.balign 4096
	.globl page_pml4, event_stack_top
page_pml4:
	.skip 4096
page_pdpt:
	.skip 4096
page_pd:
	.skip 4 * 4096
	.skip 0x4000
boot_stack_top:
	.skip 0x2000
event_stack_top:
	.skip 0x4000
user_stack_top:

	.section .note.GNU-stack, "", @progbits
