"""The augmentations; each module of this package registers one in `fedgan.training.augmentation.AUGMENTATIONS`."""
