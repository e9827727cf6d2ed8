pub(crate) trait Now: Sized {
    fn now(self) -> Self {
        self
    }
}
impl<T, E> Now for Result<T, E> {}
