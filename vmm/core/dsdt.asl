// SPDX-License-Identifier: BSD-3-Clause
//
// What the machine is made of, for the guest's ACPI. Fixed ports and interrupts are those of vmm/core/boot.h (a
// unit test compares them); what is known only when the machine is put together comes from the block VMIN, which
// acpi.c fills (struct acpi_vminfo) in front of the tables.
//
DefinitionBlock ("", "DSDT", 2, "SLUICE", "SLUICE", 1)
{
	OperationRegion (VMIN, SystemMemory, 0x000E0040, 0x40)
	Field (VMIN, DWordAcc, NoLock, Preserve)
	{
		M32B, 32, M32S, 32,	// 32-bit PCI window: base, size
		IOB,  32, IOS,  32,	// PCI I/O window
		ECAB, 32, ECAS, 32,	// configuration space
		NBUS, 32, NDEV, 32,	// buses behind ECAM; device numbers in use on bus 0
		M64B, 64, M64S, 64	// 64-bit PCI window
	}

	// Soft off. The power-management device agrees by VM_SLEEP_S5_TYP.
	Name (_S5, Package () { 0x05, 0x00, 0x00, 0x00 })

	Scope (\_SB)
	{
		// Address space that belongs to no device: nothing may be put there.
		Device (MRES)
		{
			Name (_HID, EisaId ("PNP0C02"))
			Name (_UID, "mainboard")
			Name (RBUF, ResourceTemplate ()
			{
				IO (Decode16, 0x0600, 0x0600, 0x01, 0x20)	// power management
				IO (Decode16, 0x0CF9, 0x0CF9, 0x01, 0x01)	// reset
				Memory32Fixed (ReadWrite, 0xFEC00000, 0x00001000)	// IOAPIC
				Memory32Fixed (ReadWrite, 0xFEE00000, 0x00100000)	// local APICs, MSI
				Memory32Fixed (ReadWrite, 0x00000000, 0x00000000, ECAM)
			})
			CreateDWordField (RBUF, ECAM._BAS, EBAS)
			CreateDWordField (RBUF, ECAM._LEN, ELEN)
			Method (_CRS)
			{
				EBAS = ECAB
				ELEN = ECAS
				Return (RBUF)
			}
		}

		Device (PCI0)
		{
			Name (_HID, EisaId ("PNP0A08"))
			Name (_CID, EisaId ("PNP0A03"))
			Name (_UID, Zero)
			Name (_SEG, Zero)
			Name (_BBN, Zero)

			// Without PCI there are no buses, and no host bridge.
			Method (_STA)
			{
				If (NBUS == Zero)
				{
					Return (Zero)
				}
				Return (0x0F)
			}

			Method (_CBA)
			{
				Return (ECAB)
			}

			Name (RBUF, ResourceTemplate ()
			{
				WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
					0x0000, 0x0000, 0x0000, 0x0000, 0x0001, , , BUSR)
				DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed,
					NonCacheable, ReadWrite,
					0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000001, , , MM32)
			})
			Name (IBUF, ResourceTemplate ()
			{
				DWordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
					0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000001, , , PIOR)
			})
			Name (QBUF, ResourceTemplate ()
			{
				QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed,
					Cacheable, ReadWrite,
					0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000001, , , MM64)
			})
			CreateWordField (RBUF, BUSR._MAX, BMAX)
			CreateWordField (RBUF, BUSR._LEN, BLEN)
			CreateDWordField (RBUF, MM32._MIN, MMIN)
			CreateDWordField (RBUF, MM32._MAX, MMAX)
			CreateDWordField (RBUF, MM32._LEN, MLEN)
			CreateDWordField (IBUF, PIOR._MIN, IMIN)
			CreateDWordField (IBUF, PIOR._MAX, IMAX)
			CreateDWordField (IBUF, PIOR._LEN, ILEN)
			CreateQWordField (QBUF, MM64._MIN, QMIN)
			CreateQWordField (QBUF, MM64._MAX, QMAX)
			CreateQWordField (QBUF, MM64._LEN, QLEN)

			Method (_CRS)
			{
				BMAX = NBUS - 1
				BLEN = NBUS
				MMIN = M32B
				MLEN = M32S
				MMAX = M32B + M32S - 1
				Local0 = RBUF
				If (IOS != Zero)
				{
					IMIN = IOB
					ILEN = IOS
					IMAX = IOB + IOS - 1
					Local0 = ConcatenateResTemplate (Local0, IBUF)
				}
				If (M64S != Zero)
				{
					QMIN = M64B
					QLEN = M64S
					QMAX = M64B + M64S - 1
					Local0 = ConcatenateResTemplate (Local0, QBUF)
				}
				Return (Local0)
			}

			// INTA-INTD of device d are the IOAPIC's pins 16 + (d + pin) % 8; vm_pci_intx_pin() says the same.
			Method (_PRT)
			{
				Local1 = NDEV * 4
				Local0 = Package (Local1) {}
				Local2 = Zero
				While (Local2 < Local1)
				{
					Local3 = Package (4) { 0x0000FFFF, Zero, Zero, Zero }
					Local3 [0] = ((Local2 >> 2) << 16) | 0xFFFF
					Local3 [1] = Local2 & 3
					Local3 [3] = 16 + (((Local2 >> 2) + (Local2 & 3)) & 7)
					Local0 [Local2] = Local3
					Local2++
				}
				Return (Local0)
			}

			// PCI Firmware spec 4.5.1: the guest may drive PCIe hot plug itself and see the whole capability;
			// there is no error reporting or wake-up to hand over.
			Method (_OSC, 4, Serialized)
			{
				CreateDWordField (Arg3, Zero, CDW1)
				If ((Arg0 != ToUUID ("33db4d5b-1ff7-401c-9657-7441c03dd766")) || (Arg2 < 3))
				{
					CDW1 |= 0x04	// unknown UUID
					Return (Arg3)
				}
				If (Arg1 != One)
				{
					CDW1 |= 0x08	// unknown revision
				}
				CreateDWordField (Arg3, 8, CDW3)
				Local0 = CDW3 & 0x11
				If (Local0 != CDW3)
				{
					CDW1 |= 0x10	// capabilities masked
				}
				CDW3 = Local0
				Return (Arg3)
			}
		}

		Device (COM1)
		{
			Name (_HID, EisaId ("PNP0501"))
			Name (_UID, One)
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, 0x03F8, 0x03F8, 0x01, 0x08)
				IRQNoFlags () { 4 }
			})
		}

		Device (RTC)
		{
			Name (_HID, EisaId ("PNP0B00"))
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, 0x0070, 0x0070, 0x01, 0x02)
				IRQNoFlags () { 8 }
			})
		}

		// pvpanic: the guest says here that it has crashed.
		Device (PEVT)
		{
			Name (_HID, "QEMU0001")
			Name (_STA, 0x0F)
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, 0x0505, 0x0505, 0x01, 0x01)
			})
		}
	}
}
