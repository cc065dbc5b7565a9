"""The night's candidates: each trained, its options searched where asked for, all compared with the champion."""
